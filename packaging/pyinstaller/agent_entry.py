"""Entry point of the frozen agent: also its own child processes, which a frozen program starts through itself."""

import runpy
import sys

CHILDREN = ("edge_agent.", "contract.")


def main() -> None:
    """`eyelet-agent -m MODULE …` runs a child module, everything else is the command line."""
    if len(sys.argv) > 2 and sys.argv[1] == "-m" and sys.argv[2].startswith(CHILDREN):
        module = sys.argv[2]
        sys.argv = sys.argv[2:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    from edge_agent.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
