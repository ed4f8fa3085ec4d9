from pathlib import Path

from converters import steps
from converters.steps import STEPS
from converters.targets import TARGETS


def test_the_table_and_the_folder_agree():
    files = {path.stem for path in Path(steps.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(STEPS) == files


def test_every_step_leads_somewhere():
    required = {requires for step in STEPS.values() for requires, _ in step.edges}
    for step in STEPS.values():
        for _, ensures in step.edges:
            assert ensures in required or ensures in TARGETS, step.name
