"""The training job as a real child process: killed, cancelled, resumed."""

import contextlib
import os
import signal
import time

import numpy as np
import pytest

from desktop_app.jobs.events import Cancelled, Done, Message
from desktop_app.jobs.process import start_job
from desktop_app.jobs.requests import TrainJob
from desktop_app.training.loop import train
from desktop_app.training.runs import CANCELLED, DONE, INTERRUPTED, load_run, read_curve
from tests.desktop_app.sample_projects import TINY, Listener, make_image_project
from tests.simulators.waiting import PROMPT_S

EPOCHS = 60


@pytest.fixture
def project(tmp_path):
    project, _ = make_image_project(tmp_path)
    with project:
        yield project


def epoch_of(event: object) -> int:
    """The epoch that an event says is finished, else 0."""
    text = event.text if isinstance(event, Message) else ""
    return int(text.split()[1]) if text.startswith("epoch ") else 0


def wait_for_epoch(process, least: int) -> int:
    return next(epoch for event in process if (epoch := epoch_of(event)) >= least)


@pytest.mark.slow
def test_killed_then_cancelled_then_resumed_equals_a_straight_run(project) -> None:
    recipe = {**TINY, "epochs": EPOCHS}
    with start_job(project.folder, TrainJob(recipe=recipe)) as process:
        killed_after = wait_for_epoch(process, 3)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run = load_run(project, "latest")
    assert run.state.state == INTERRUPTED
    assert killed_after <= run.state.epochs_done < EPOCHS

    with start_job(project.folder, TrainJob(run_id=run.id)) as process:
        first = next(event.text for event in process if isinstance(event, Message))
        assert first == f"run {run.id} goes on after epoch {run.state.epochs_done}"
        wait_for_epoch(process, run.state.epochs_done + 2)
        asked = time.monotonic()
        process.cancel()
        assert isinstance(process.wait(), Cancelled)
        assert time.monotonic() - asked < PROMPT_S
    run = load_run(project, "latest")
    assert run.state.state in {CANCELLED, INTERRUPTED}

    resumed = train(project, TrainJob(run_id=run.id), Listener().context)
    straight = train(project, TrainJob(recipe=recipe), Listener().context)
    assert resumed.state.state == straight.state.state == DONE
    with np.load(resumed.path / "model.npz") as one, np.load(straight.path / "model.npz") as other:
        assert one.files == other.files
        for name in one.files:
            assert np.array_equal(one[name], other[name]), name
    assert [p.train_loss for p in read_curve(resumed).points] == [p.train_loss for p in read_curve(straight).points]


def test_a_finished_job_answers_with_the_run(project) -> None:
    with start_job(project.folder, TrainJob(recipe={**TINY, "epochs": 1})) as process:
        outcome = process.wait()
    assert isinstance(outcome, Done), outcome
    assert outcome.result["id"] == "0001-small-cnn"
    assert outcome.result["state"]["state"] == "done"
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, 0)
        pytest.fail("the child still runs")
