"""Run the tutorial and put what its commands print into it: `python -m tests.docs.record_tutorial`."""

import re
import tempfile
from pathlib import Path

from tests.docs.console_blocks import ROOT, read_commands, replace_outputs, run_commands
from tests.docs.small_data import write_all

TUTORIAL = ROOT / "docs" / "tutorial.md"
SHOWN_FOLDER = "/home/you/shapes"


def main() -> None:
    """Rewrite the console blocks in place.

    Raises:
        SystemExit: a command failed; the document stays as it was.
    """
    text = TUTORIAL.read_text(encoding="utf-8")
    commands = read_commands(text)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_all(folder)
        ran = run_commands(commands, folder, {"NO_COLOR": "1", "COLUMNS": "110"}, 600)
        outputs = [shorten(step.output.replace(str(folder), SHOWN_FOLDER)) for step in ran]
    if len(ran) < len(commands) or ran[-1].code:
        raise SystemExit(f"{ran[-1].command}: exit code {ran[-1].code}\n{outputs[-1]}")
    TUTORIAL.write_text(replace_outputs(text, outputs), encoding="utf-8")


def shorten(output: str) -> str:
    """Without trailing blanks and what a shell says of its jobs; a pile of epochs becomes its first and last."""
    lines = [line.rstrip() for line in output.splitlines() if not re.match(r"\[\d+\]", line) and not re.search(r" \d+/\d+ \w+$", line)]
    epochs = [index for index, line in enumerate(lines) if re.match(r"epoch \d+ of \d+:", line)]
    if len(epochs) > 3:
        lines[epochs[1] : epochs[-1]] = ["…"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
