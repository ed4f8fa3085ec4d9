"""What is left to the first Python alone."""

from pathlib import Path

from scripts import agent_pythons


def test_the_oldest_python_runs_the_contract_and_the_agent_and_not_what_is_shown_once(tmp_path: Path) -> None:
    command = agent_pythons.tests_command(tmp_path / "python", 2)
    assert command[-2:] == ["tests/contract", "tests/edge_agent"]
    assert command[command.index("not once") - 1] == "-m"
