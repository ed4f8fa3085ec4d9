"""What a project holds, in one look: the steps of the loop and which comes next."""

from dataclasses import dataclass

from desktop_app.data.catalogue import SampleQuery, class_counts, count_samples, split_counts
from desktop_app.data.project import Project
from desktop_app.data.versions import VersionSummary, list_versions
from desktop_app.training.runs import DONE, Run, list_runs


@dataclass(frozen=True)
class Holdings:
    """Counts and newest things of a project."""

    name: str
    task: str
    folder: str
    samples: int
    unlabelled: int
    queued: int
    excluded: int
    conflicts: int
    classes: tuple[tuple[str, int], ...]
    splits: tuple[tuple[str, int], ...]
    acceptance: int
    versions: tuple[VersionSummary, ...]
    runs: tuple[Run, ...]
    packages: tuple[str, ...]
    blob_bytes: int
    unfrozen: int

    @property
    def newest_version(self) -> VersionSummary | None:
        """The newest dataset version."""
        return self.versions[0] if self.versions else None

    @property
    def best_run(self) -> Run | None:
        """The finished run with the best validation accuracy."""
        done = [run for run in self.runs if run.state.state == DONE]
        return max(done, key=lambda run: (run.state.validation_accuracy or 0.0, run.id), default=None)

    @property
    def has_unfrozen_edits(self) -> bool:
        """Whether the newest version lacks labelled samples."""
        return bool(self.versions) and self.unfrozen > 0


def read_holdings(project: Project) -> Holdings:
    """Read what the project holds."""
    splits = split_counts(project)
    return Holdings(
        name=project.name,
        task=project.task,
        folder=str(project.folder),
        samples=count_samples(project),
        unlabelled=count_samples(project, SampleQuery(labelled=False, excluded=False)),
        queued=count_samples(project, SampleQuery(queued=True)),
        excluded=count_samples(project, SampleQuery(excluded=True)),
        conflicts=count_samples(project, SampleQuery(conflict=True, excluded=False)),
        classes=tuple(class_counts(project).items()),
        splits=tuple(splits.items()),
        acceptance=splits.get("acceptance", 0),
        versions=tuple(list_versions(project)),
        runs=tuple(list_runs(project)),
        packages=tuple(sorted(path.name for path in (project.folder / "packages").glob("*.eyelet"))),
        unfrozen=count_samples(project, SampleQuery(labelled=True, split="", excluded=False)),
        blob_bytes=int(project.db.execute("SELECT coalesce(sum(size_bytes), 0) FROM samples").fetchone()[0]),
    )
