"""The job behind `train`: make or take up a run, fit by its recipe, and leave its state true however it ends."""

import os
import shutil
from collections.abc import Callable

import msgspec

from contract.codec import utc_now
from desktop_app.data.project import Project
from desktop_app.errors import JobCancelledError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import TrainJob
from desktop_app.tasks import TASKS
from desktop_app.training.errors import RunError
from desktop_app.training.events import append_event
from desktop_app.training.planning import find_version, plan_recipe
from desktop_app.training.runs import (
    CANCELLED,
    CHECKPOINTS_FOLDER,
    DONE,
    FAILED,
    RUNNING,
    Run,
    create_run,
    locked,
    read_run,
    resume_run,
    save_state,
)

# Why OMP_WAIT_POLICY: threads that spin while they wait starve each other as soon as anything else
# runs on the machine. Measured with two threads on two busy cores: a step of ResNet-8 takes 1101 ms
# spinning, 178 ms waiting. It has to be set before PyTorch or scikit-learn are imported.


def train(project: Project, job: TrainJob, context: JobContext) -> Run:
    """Train a new run by `job.recipe` (wishes are completed), or go on with the run `job.run_id`.

    Raises:
        RecipeError: the recipe is not valid for the project.
        RunError: the run can not go on.
        TrainingError: training failed.
        JobCancelledError: the user cancelled; the run can be resumed.
    """
    if job.run_id and job.recipe:
        raise RunError("a resumed run keeps its recipe: give a recipe or a run, not both")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    run = resume_run(project, job.run_id) if job.run_id else _new_run(project, job)
    with locked(run):
        run = read_run(run.path)  # what another process did to it before the lock
        version = find_version(project, run.recipe.dataset_version)
        if run.state.state == DONE:
            raise RunError(f"run {run.id} is done: another process finished it")
        _begin(run, context)
        _end_truly(run, lambda: TASKS[run.recipe.task].fit(project, run, version, context))
        shutil.rmtree(run.path / CHECKPOINTS_FOLDER, ignore_errors=True)
    return read_run(run.path)


def _new_run(project: Project, job: TrainJob) -> Run:
    version = find_version(project, job.recipe.get("dataset_version"))
    return create_run(project, plan_recipe(version, job.recipe))


def _begin(run: Run, context: JobContext) -> None:
    state, now = run.state, utc_now()
    append_event(run.path, "started", epochs_done=state.epochs_done)
    changes = {"state": RUNNING, "started_at": state.started_at or now, "ended_at": "", "error": ""}
    save_state(run.path, msgspec.structs.replace(state, **changes))
    words = (
        f"goes on after epoch {state.epochs_done}" if state.epochs_done else f"begins: {run.recipe.architecture}, seed {run.recipe.seed}"
    )
    context.message(f"run {run.id} {words}")
    for note in state.notes:
        context.message(note)


def _end_truly(run: Run, work: Callable[[], object]) -> None:
    """Do the work and write how it ended.

    Lightning turns the signal of a cancel into `SystemExit`; it counts as a cancel here.
    """
    try:
        work()
    except (JobCancelledError, SystemExit, KeyboardInterrupt) as error:
        _end(run, CANCELLED)
        raise JobCancelledError("the training was cancelled") from error
    except Exception as error:
        _end(run, FAILED, str(error) or type(error).__name__)
        raise
    _end(run, DONE)


def _end(run: Run, state: str, error: str = "") -> None:
    append_event(run.path, "ended", state=state, error=error)
    save_state(run.path, msgspec.structs.replace(read_run(run.path).state, state=state, ended_at=utc_now(), error=error))
