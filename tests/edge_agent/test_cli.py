"""Exit codes of the program itself, not of click's test runner, which ends commands in another way."""

import subprocess
import sys
from pathlib import Path


def exit_code(*arguments: object) -> int:
    command = [sys.executable, "-m", "edge_agent.cli", *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode


def test_the_doctor_fails_where_something_is_wrong_and_only_there(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert exit_code("doctor", "--home", home) == 1
    assert exit_code("trust", "list", "--home", home) == 0
    assert exit_code("doctor", "--home", home) == 0
    (home / "config.json").write_text("{")
    assert exit_code("doctor", "--home", home, "--json") == 1


def test_help_is_no_failure_and_wrong_use_is_two() -> None:
    assert exit_code("--help") == 0
    assert exit_code("--version") == 0
    assert exit_code("doctor", "--nonsense") == 2
