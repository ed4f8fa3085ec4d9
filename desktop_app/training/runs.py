"""Runs: one folder each, with its recipe, its state, its events and, in the end, its model.

```
runs/0001-small-cnn/  recipe.json  state.json  events.jsonl  lock
                      checkpoints/last.ckpt, best.npz   while it is not done
                      model.json, model.npz | model.onnx when it is done
```
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, write_atomic
from desktop_app.data.project import Project
from desktop_app.training.errors import RunError
from desktop_app.training.events import Curve, EpochPoint, curve_of, read_events
from desktop_app.training.recipe import Recipe, recipe_notes

RUNS_FOLDER = "runs"
RECIPE_NAME = "recipe.json"
STATE_NAME = "state.json"
LOCK_NAME = "lock"
CHECKPOINTS_FOLDER = "checkpoints"
LAST_NAME = "last.ckpt"
BEST_NAME = "best.npz"
LOCK_WAIT_S = 2.0
DOCUMENT_MAX_BYTES = 1 << 20

QUEUED, RUNNING, DONE, FAILED, CANCELLED, INTERRUPTED = "queued", "running", "done", "failed", "cancelled", "interrupted"
RESUMABLE = frozenset({QUEUED, FAILED, CANCELLED, INTERRUPTED})

_log = logging.getLogger(__name__)


class RunState(msgspec.Struct, frozen=True):
    """Where a run stands; rewritten as a whole after each epoch.

    `interrupted` is never written: it is what `running` means once no process holds the run's lock.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    state: str
    created_at: str
    started_at: str = ""
    ended_at: str = ""
    epochs_done: int = 0
    best_epoch: int | None = None
    validation_accuracy: float | None = None  # of the kept weights
    seconds: float = 0.0  # spent in training, over all resumes
    error: str = ""
    notes: tuple[str, ...] = ()
    schema_version: int = 1


class Run(msgspec.Struct, frozen=True):
    """One execution of a recipe, as it was when it was loaded."""

    id: str
    folder: str
    recipe: Recipe
    recipe_digest: str
    state: RunState

    @property
    def path(self) -> Path:
        """The run's folder."""
        return Path(self.folder)


def create_run(project: Project, recipe: Recipe) -> Run:
    """Make the folder of a new, queued run; its id is the next number and the architecture's name."""
    runs = project.folder / RUNS_FOLDER
    runs.mkdir(exist_ok=True)
    number = max((int(p.name[:4]) for p in runs.iterdir() if p.name[:4].isdigit()), default=0)
    while True:
        number += 1
        folder = runs / f"{number:04d}-{recipe.architecture}"
        if any(runs.glob(f"{number:04d}-*")):
            continue
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            break
    write_atomic(folder / RECIPE_NAME, encode(recipe))
    save_state(folder, RunState(state=QUEUED, created_at=utc_now(), notes=recipe_notes(recipe)))
    return read_run(folder)


def save_state(folder: Path, state: RunState) -> None:
    """Write `state.json`, all or nothing."""
    write_atomic(folder / STATE_NAME, encode(state))


def read_run(folder: Path) -> Run:
    """Read one run's folder.

    Raises:
        RunError: it lacks its recipe or state, or they can not be read.
    """
    try:
        recipe_bytes = read_bounded(folder / RECIPE_NAME, DOCUMENT_MAX_BYTES)
        recipe = decode(recipe_bytes, Recipe, f"the recipe of run {folder.name}")
        state = decode(read_bounded(folder / STATE_NAME, DOCUMENT_MAX_BYTES), RunState, f"the state of run {folder.name}")
    except (OSError, ContractError) as error:
        raise RunError(f"run {folder.name} can not be read: {error}. Remove its folder, or restore it from a backup") from error
    if state.state == RUNNING and not is_locked(folder):
        state = msgspec.structs.replace(state, state=INTERRUPTED)
    return Run(id=folder.name, folder=str(folder), recipe=recipe, recipe_digest=recipe.digest, state=state)


def list_runs(project: Project) -> list[Run]:
    """All readable runs, the newest first; an unreadable one is logged and left out."""
    runs = project.folder / RUNS_FOLDER
    found: list[Run] = []
    for folder in sorted(runs.iterdir(), reverse=True) if runs.is_dir() else []:
        if folder.is_dir() and folder.name[:4].isdigit():
            try:
                found.append(read_run(folder))
            except RunError as error:
                _log.warning("%s", error)
    return found


def load_run(project: Project, name: str) -> Run:
    """The run with this id, this number, or the newest for `latest`.

    Raises:
        RunError: there is none, or it can not be read.
    """
    runs = project.folder / RUNS_FOLDER
    ids = sorted(p.name for p in runs.iterdir() if p.is_dir() and p.name[:4].isdigit()) if runs.is_dir() else []
    if not ids:
        raise RunError("this project has no run yet. Train one first: eyelet-studio train")
    wanted = f"{int(name):04d}-" if name.isdigit() else name
    matches = ids[-1:] if name == "latest" else [i for i in ids if i == wanted or (name.isdigit() and i.startswith(wanted))]
    if not matches:
        raise RunError(f"there is no run {name[:60]!r}. Runs: {', '.join(ids[-10:])}")
    return read_run(runs / matches[0])


def resume_run(project: Project, name: str) -> Run:
    """The run, if it can go on from its last epoch.

    Raises:
        RunError: it is done or still running.
    """
    run = load_run(project, name)
    if run.state.state not in RESUMABLE:
        raise RunError(f"run {run.id} is {run.state.state}: there is nothing to resume")
    return run


def read_curve(run: Run) -> Curve:
    """The learning curve of a run, also of one that is still running."""
    return curve_of(read_events(run.path), run.recipe.epochs)


def is_locked(folder: Path) -> bool:
    """Whether a process is at work on the run; the system releases the lock when that process dies."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / LOCK_NAME, timeout=0):
            return False
    except Timeout:
        return True


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the run's lock.

    Raises:
        RunError: another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(run.path / LOCK_NAME, timeout=LOCK_WAIT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise RunError(f"run {run.id} is at work in another process. Wait for it, or cancel it there") from error
    try:
        yield
    finally:
        lock.release()


def note_epoch(folder: Path, point: EpochPoint) -> None:
    """Count an epoch in the run's state."""
    state = decode(read_bounded(folder / STATE_NAME, DOCUMENT_MAX_BYTES), RunState, f"the state of run {folder.name}")
    changes: dict[str, object] = {"epochs_done": point.epoch, "seconds": round(state.seconds + point.seconds, 3)}
    if point.best:
        changes |= {"best_epoch": point.epoch, "validation_accuracy": point.validation_accuracy}
    save_state(folder, msgspec.structs.replace(state, **changes))
