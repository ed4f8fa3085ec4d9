"""The acceptance set: labelled samples frozen before any split and kept out of every one.

A device runs it before it activates a version. What it proves depends on no training ever having
seen these samples, so they leave the pool by content: a copy that is imported later stays out too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec

from contract.acceptance import label_set_digest
from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of, write_atomic
from desktop_app.data.project import Project
from desktop_app.data.splits import Member, draw_stratified
from desktop_app.data.version_files import trained_samples
from desktop_app.errors import VersionError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import AcceptanceJob

ACCEPTANCE_MAX_BYTES = 64 << 20
MIN_LEFT_PER_CLASS = 3
MAX_SHARE = 0.5


class AcceptanceSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sample; `group` is the digest of what a model sees of it, kept out of every split."""

    sha256: str
    label: str
    group: str
    occurrence: int = 0


class FrozenAcceptance(msgspec.Struct, frozen=True, omit_defaults=True):
    """`acceptance/acceptance.json`; `labels` is the sorted label set that `label_set_digest` names."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    task: str
    created_at: str
    seed: int
    labels: tuple[str, ...]
    label_set_digest: str
    samples: tuple[AcceptanceSample, ...]

    @property
    def sha256s(self) -> tuple[str, ...]:
        """The samples' digests, in the set's order."""
        return tuple(sample.sha256 for sample in self.samples)

    @property
    def digest(self) -> str:
        """SHA-256 over samples and labels, the same for the same set whenever it was frozen."""
        return sha256_of(encode([self.task, self.labels, self.samples]))


class _Candidate(msgspec.Struct, frozen=True):
    sha256: str
    occurrence: int
    group: str
    label: str


def acceptance_path(project: Project) -> Path:
    """The file of the acceptance set."""
    return project.folder / "acceptance" / "acceptance.json"


def find_acceptance(project: Project) -> FrozenAcceptance | None:
    """The acceptance set, None where none is frozen yet.

    Raises:
        VersionError: its file is broken.
    """
    path = acceptance_path(project)
    if not path.exists():
        return None
    try:
        return decode(read_bounded(path, ACCEPTANCE_MAX_BYTES), FrozenAcceptance, "the acceptance set", ACCEPTANCE_MAX_BYTES)
    except (OSError, ContractError) as error:
        raise VersionError(f"the acceptance set can not be read: {error}", "Restore the project from a backup.") from error


def acceptance_groups(project: Project) -> frozenset[str]:
    """The groups that no split may hold."""
    frozen = find_acceptance(project)
    return frozenset(sample.group for sample in frozen.samples) if frozen else frozenset()


def freeze_acceptance(project: Project, *, count: int = 100, seed: int = 0) -> FrozenAcceptance:
    """Choose `count` labelled samples, classes in their proportion, and freeze them.

    Where versions were frozen before, only samples are chosen that no version trained or validated with.

    Raises:
        VersionError: one is frozen already, or too few samples would remain to train with.
    """
    with project.transaction() as db:
        if find_acceptance(project) is not None:
            advice = "It stays as it is for the life of the model, so that scores can be compared."
            raise VersionError("the acceptance set is frozen already", advice)
        frozen = _choose(project, count, seed)
        write_atomic(acceptance_path(project), encode(frozen), mode=0o444)
        groups = [(sample.group,) for sample in frozen.samples]
        db.conn.executemany("UPDATE samples SET split = 'acceptance' WHERE group_key = ?", groups)
    return frozen


def _choose(project: Project, count: int, seed: int) -> FrozenAcceptance:
    """Draw the samples from what the catalogue holds now."""
    pool = _pool(project)
    members = [Member(sample.group, sample.label) for sample in pool]
    drawn = draw_stratified(members, count, seed=seed, purpose="acceptance", keep=MIN_LEFT_PER_CLASS)
    chosen = sorted((s for s in pool if s.group in drawn), key=lambda s: (s.sha256, s.occurrence))
    _check_choice(pool, chosen, count)
    labels = tuple(sorted({sample.label for sample in pool}))
    samples = tuple(AcceptanceSample(s.sha256, s.label, s.group, s.occurrence) for s in chosen)
    return FrozenAcceptance(1, project.task, utc_now(), seed, labels, label_set_digest(labels), samples)


def _pool(project: Project) -> list[_Candidate]:
    """Labelled samples that no version trained or validated with."""
    seen = trained_samples(project)
    sql = "SELECT sha256, occurrence, group_key, label FROM samples WHERE label IS NOT NULL AND NOT excluded ORDER BY sha256, occurrence"
    candidates = [_Candidate(*row) for row in project.db.execute(sql).fetchall()]
    tainted = {c.group for c in candidates if c.sha256 in seen}
    return [c for c in candidates if c.group not in tainted]


def _check_choice(pool: Sequence[_Candidate], chosen: Sequence[_Candidate], count: int) -> None:
    """Refuse a set that is smaller than asked, or that leaves too little behind (each class keeps three)."""
    advice = "Import or label more samples, or ask for fewer with --count."
    if len(chosen) < count:
        raise VersionError(f"the acceptance set needs {count} labelled samples that no version trained with, got {len(chosen)}", advice)
    if len(chosen) > len(pool) * MAX_SHARE:
        raise VersionError(f"{count} of {len(pool)} labelled samples would leave too few to train with; at most half may go", advice)


class AcceptanceSummary(msgspec.Struct, frozen=True):
    """What the job answers."""

    digest: str
    count: int
    seed: int
    classes: dict[str, int]


def summarize_acceptance(frozen: FrozenAcceptance) -> AcceptanceSummary:
    """Counts of a frozen set."""
    classes = {label: sum(sample.label == label for sample in frozen.samples) for label in frozen.labels}
    return AcceptanceSummary(frozen.digest, len(frozen.samples), frozen.seed, classes)


def run_acceptance_job(project: Project, job: AcceptanceJob, context: JobContext) -> AcceptanceSummary:
    """The job behind `acceptance`."""
    context.progress(0, 1, "set", "freezing the acceptance set")
    return summarize_acceptance(freeze_acceptance(project, count=job.count, seed=job.seed))
