"""The tutorial's commands work in the order in which a reader types them."""

import json
from pathlib import Path

import pytest

from tests.docs.console_blocks import read_commands, run_commands
from tests.docs.documents import read_document
from tests.docs.small_data import write_all

TIMEOUT_S = 420  # about a minute on two idle cores; far more beside other tests


@pytest.mark.story
@pytest.mark.slow
def test_every_command_of_the_tutorial_works_in_order(tmp_path: Path) -> None:
    write_all(tmp_path)
    commands = read_commands(read_document("docs/tutorial.md"))
    ran = run_commands(commands, tmp_path, {"NO_COLOR": "1", "COLUMNS": "110", "OMP_NUM_THREADS": "1"}, TIMEOUT_S)
    failed = [step for step in ran if step.code]
    assert not failed, f"{failed[0].command}\n{failed[0].output}"
    assert [step.command for step in ran] == commands
    outputs = {step.command: step.output for step in ran}
    assert "took 180 samples" in outputs["eyelet-studio import photos"]
    asked = next(output for command, output in outputs.items() if command.startswith("curl"))
    assert json.loads(asked)["label"] == "circle"
    assert "r1 succeeded" in outputs["eyelet-fleet rollout watch r1"]
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 240
