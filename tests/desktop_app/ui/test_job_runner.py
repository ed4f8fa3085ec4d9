import time
from pathlib import Path

import pytest

from desktop_app.jobs.events import Cancelled, Done, Failed
from desktop_app.jobs.requests import FreezeJob, ImportJob, TrainJob
from desktop_app.ui.job_runner import JobRunner
from desktop_app.ui.translations.text import Text
from tests.desktop_app.sample_projects import TINY
from tests.simulators.waiting import PROMPT_S

WAIT_MS = 60_000


@pytest.fixture
def runner(qtbot, imported: Path):
    made = JobRunner()
    made.open(imported)
    yield made
    made.close()


def test_jobs_run_one_after_another(qtbot, runner: JobRunner, tmp_path: Path):
    missing = runner.start(ImportJob(path=str(tmp_path / "missing")), Text("Import"), frozenset())
    freeze = runner.start(FreezeJob(), Text("Freeze version"), frozenset({"versions"}))
    assert runner.waiting == (freeze,)
    ended = []
    runner.ended.connect(ended.append)
    qtbot.waitUntil(lambda: runner.current is None and not runner.waiting, timeout=WAIT_MS)
    assert ended == [missing, freeze]
    assert isinstance(missing.outcome, Failed)
    assert isinstance(freeze.outcome, Done)
    assert freeze.outcome.result["number"] == 1


def test_a_training_is_cancelled_at_once_and_can_be_resumed(qtbot, runner: JobRunner, imported: Path):
    from desktop_app.data.project import open_project
    from desktop_app.data.versions import freeze_version
    from desktop_app.training.runs import list_runs

    with open_project(imported) as project:
        freeze_version(project)
    handle = runner.start(TrainJob(recipe={**TINY, "epochs": 5000}), Text("Train"), frozenset())
    qtbot.waitUntil(lambda: handle.progress is not None, timeout=WAIT_MS)
    began = time.monotonic()
    runner.cancel()
    qtbot.waitUntil(lambda: handle.outcome is not None, timeout=WAIT_MS)
    assert time.monotonic() - began < PROMPT_S
    assert isinstance(handle.outcome, Cancelled)
    with open_project(imported) as project:
        assert [run.state.state for run in list_runs(project)] in (["cancelled"], ["interrupted"])
