"""The table in README.md: every test that it names exists."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (HERE / "README.md").read_text(encoding="utf-8"))


def test_the_table_names_tests_that_exist() -> None:
    assert len(NAMED) > 30
    agent = HERE.parent
    missing = [f"{file}::{test}" for file, test in NAMED if f"def {test}(" not in _text(agent / file)]
    assert not missing, f"renamed or gone, correct README.md: {missing}"


def test_every_line_of_the_table_names_a_test() -> None:
    lines = [line for line in (HERE / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ") and "---" not in line]
    assert [line for line in lines if "::test_" not in line and line != "| mistake | test |"] == []


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
