"""Entry point of the frozen studio shell: also its own job processes, which a frozen program starts through itself."""

import runpy
import sys


def main() -> None:
    """`eyelet-studio -m desktop_app.…` runs a child module, everything else is the command line."""
    if len(sys.argv) > 2 and sys.argv[1] == "-m" and sys.argv[2].startswith("desktop_app."):
        module = sys.argv[2]
        sys.argv = sys.argv[2:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    from desktop_app.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
