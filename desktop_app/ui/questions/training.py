"""What the train page shows: architectures, runs, and one run's learning curve."""

from dataclasses import dataclass

from desktop_app.data.project import Project
from desktop_app.data.versions import VersionSummary, list_versions
from desktop_app.training.architecture import ESTIMATOR, Architecture
from desktop_app.training.events import EpochPoint
from desktop_app.training.planning import architectures_of
from desktop_app.training.runs import DONE, Run, list_runs, read_curve


@dataclass(frozen=True)
class Training:
    """Runs newest first, with the number of the dataset version each was trained on."""

    task: str
    versions: tuple[VersionSummary, ...]
    architectures: tuple[Architecture, ...]
    runs: tuple[Run, ...]
    chosen: Run | None
    points: tuple[EpochPoint, ...]

    def version_number(self, run: Run) -> int | None:
        """Number of the dataset version that a run was trained on, None where it is gone."""
        return next((v.number for v in self.versions if v.digest == run.recipe.dataset_version), None)

    def seconds_per_epoch(self, architecture: str) -> tuple[float, str] | None:
        """What an epoch of this architecture took in the newest finished run, and which run that was."""
        for run in self.runs:
            done = run.state
            if run.recipe.architecture == architecture and done.state == DONE and done.epochs_done and done.seconds:
                return done.seconds / done.epochs_done, run.id
        return None


def read_training(project: Project, chosen: str) -> Training:
    """Read runs and the curve of the run `chosen` (empty or gone: the newest)."""
    runs = tuple(list_runs(project))
    run = next((r for r in runs if r.id == chosen), runs[0] if runs else None)
    points = read_curve(run).points if run is not None else ()
    return Training(project.task, tuple(list_versions(project)), architectures_of(project.task), runs, run, points)


def is_network(architecture: Architecture) -> bool:
    """Whether it is trained in epochs."""
    return architecture.kind != ESTIMATOR
