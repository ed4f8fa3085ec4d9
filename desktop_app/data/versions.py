"""Dataset versions: what a training reads, frozen, immutable and named by the SHA-256 of its file.

The file holds what decides a training and nothing else (no name, no time, no number), sorted by
content, so that the same input gives the same digest, wherever and in whatever order it was imported.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from contract.codec import encode, utc_now
from contract.files import sha256_of, write_atomic
from desktop_app.data.acceptance_set import acceptance_groups
from desktop_app.data.columns import Column, list_columns, with_categories
from desktop_app.data.project import Project
from desktop_app.data.splits import SPLITS, Member, Shares, assign_splits
from desktop_app.data.version_files import StoredSample, VersionDocument, read_document, version_path
from desktop_app.errors import VersionError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import FreezeJob

DEFAULT_SHARES = (0.7, 0.15, 0.15)
MIN_CLASSES = 2


class VersionSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sample of a version. `row` has a table's values by column (None: missing), the target not included."""

    sha256: str
    label: str
    split: str
    name: str = ""
    row: dict[str, Any] | None = None
    occurrence: int = 0
    width: int = 0
    height: int = 0


class DatasetVersion(msgspec.Struct, frozen=True):
    """A frozen version. `columns` are a table's features in their order, `target` its target column."""

    number: int
    digest: str
    created_at: str
    task: str
    seed: int
    shares: tuple[float, float, float]
    labels: tuple[str, ...]
    samples: tuple[VersionSample, ...]
    columns: tuple[Column, ...] = ()
    target: str = ""

    def of_split(self, split: str) -> tuple[VersionSample, ...]:
        """The samples of `train`, `validation` or `test`, in the version's order."""
        return tuple(sample for sample in self.samples if sample.split == split)


class VersionSummary(msgspec.Struct, frozen=True):
    """What a list of versions shows."""

    number: int
    digest: str
    created_at: str
    samples: int
    labels: tuple[str, ...]
    splits: dict[str, int]


class Relabelled(msgspec.Struct, frozen=True):
    """A sample whose label differs between two versions."""

    sha256: str
    before: str
    after: str


class VersionDiff(msgspec.Struct, frozen=True):
    """What changed from one version to another, by content; `moved` are in both, in another split."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[Relabelled, ...]
    moved: tuple[str, ...]


def freeze_version(project: Project, *, seed: int = 0, shares: tuple[float, float, float] = DEFAULT_SHARES) -> DatasetVersion:
    """Freeze all labelled samples that are not excluded (and not of the acceptance set) as a version.

    If that is exactly what an earlier version holds, that one is returned.

    Raises:
        VersionError: the shares are not valid, or there are too few samples or classes.
    """
    _check_shares(shares)
    with project.transaction() as db:
        document = _build(project, seed, shares)
        data = encode(document)
        digest = sha256_of(data)
        found = db.conn.execute("SELECT number FROM versions WHERE digest = ?", [digest]).fetchone()
        number = int(found[0] if found else db.conn.execute("SELECT coalesce(max(number), 0) + 1 FROM versions").fetchone()[0])
        if not found:
            write_atomic(version_path(project, number), data, mode=0o444)
            db.conn.execute("INSERT INTO versions (number, digest, at) VALUES (?, ?, ?)", [number, digest, utc_now()])
        _show_splits(project, document.samples)
    return load_version(project, number)


def _check_shares(shares: Sequence[float]) -> None:
    if abs(sum(shares) - 1) > 1e-6 or min(shares) < 0 or shares[0] <= 0:  # noqa: PLR2004  (rounding of three decimal shares)
        raise VersionError(f"the shares of train, validation and test must be 0 or more, train above 0, together 1; got {tuple(shares)}")


def _build(project: Project, seed: int, shares: tuple[float, float, float]) -> VersionDocument:
    """The version's document from what the catalogue holds now."""
    apart = acceptance_groups(project)
    sql = (
        "SELECT sha256, occurrence, group_key, label, given_split FROM samples WHERE label IS NOT NULL AND NOT excluded"
        " ORDER BY sha256, label, occurrence"
    )
    rows = [row for row in project.db.execute(sql).fetchall() if row[2] not in apart]
    labels = tuple(sorted({row[3] for row in rows}))
    if len(labels) < MIN_CLASSES:
        advice = "Import a folder with one subfolder per class, or label samples of a second class."
        raise VersionError(f"a dataset version needs labelled samples of {MIN_CLASSES} classes at least, got {len(labels)}", advice)
    splits = assign_splits([Member(group, label, given) for _, _, group, label, given in rows], seed=seed, shares=Shares(*shares))
    samples = tuple(StoredSample(sha256, label, splits[group], occurrence) for sha256, occurrence, group, label, _ in rows)
    features, target = list_columns(project)
    return VersionDocument(1, project.task, seed, shares, labels, samples, with_categories(project, features), target)


def _show_splits(project: Project, samples: Iterable[StoredSample]) -> None:
    """Write the newest version's splits into the catalogue, for lists and pictures."""
    connection = project.db.conn
    connection.execute("UPDATE samples SET split = '' WHERE split != 'acceptance'")
    connection.executemany(
        "UPDATE samples SET split = ? WHERE sha256 = ? AND occurrence = ?", [(s.split, s.sha256, s.occurrence) for s in samples]
    )


def load_version(project: Project, number: int | None = None) -> DatasetVersion:
    """Load a version (None: the newest) and verify its digest.

    Raises:
        VersionError: there is none, or its file or a sample's row was changed.
    """
    number, digest, created_at = _find_entry(project, number)
    document = read_document(project, number, digest)
    details = _details(project, with_rows=bool(document.target))
    return DatasetVersion(
        number=number,
        digest=digest,
        created_at=created_at,
        task=document.task,
        seed=document.seed,
        shares=document.shares,
        labels=document.labels,
        samples=tuple(_complete(sample, details, document.target) for sample in document.samples),
        columns=document.columns,
        target=document.target,
    )


def _find_entry(project: Project, number: int | None) -> tuple[int, str, str]:
    where, values = ("WHERE number = ?", [number]) if number is not None else ("", [])
    sql = f"SELECT number, digest, at FROM versions {where} ORDER BY number DESC LIMIT 1"  # noqa: S608  (one of two constants)
    found = project.db.execute(sql, values).fetchone()
    if found is None:
        what = f"no dataset version {number}" if number is not None else "no dataset version yet"
        raise VersionError(f"the project has {what}", "Freeze one: eyelet-studio freeze.")
    return int(found[0]), str(found[1]), str(found[2])


_Details = dict[tuple[str, int], tuple[str, int, int, str | None]]


def _details(project: Project, *, with_rows: bool) -> _Details:
    """What the catalogue adds to a version's samples: name, width, height and row."""
    row = "row" if with_rows else "NULL"
    sql = f"SELECT sha256, occurrence, name, width, height, {row} FROM samples"  # noqa: S608  (one of two constants)
    return {(sha, occurrence): (name, width, height, text) for sha, occurrence, name, width, height, text in project.db.execute(sql)}


def _complete(stored: StoredSample, details: _Details, target: str) -> VersionSample:
    name, width, height, text = details.get((stored.sha256, stored.occurrence), ("", 0, 0, None))
    row = _verified_row(stored, text, target) if target else None
    return VersionSample(stored.sha256, stored.label, stored.split, name, row, stored.occurrence, width, height)


def _verified_row(stored: StoredSample, text: str | None, target: str) -> dict[str, Any]:
    if text is None or sha256_of(text.encode()) != stored.sha256:
        raise VersionError(f"a row of the version is missing or was changed ({stored.sha256[:16]}…)", "Restore the project from a backup.")
    values: dict[str, Any] = msgspec.json.decode(text)
    values.pop(target, None)
    return values


def list_versions(project: Project) -> list[VersionSummary]:
    """All versions, newest first."""
    rows = project.db.execute("SELECT number, digest, at FROM versions ORDER BY number DESC").fetchall()
    return [_summary(number, digest, at, read_document(project, number, digest)) for number, digest, at in rows]


def _summary(number: int, digest: str, created_at: str, document: VersionDocument) -> VersionSummary:
    splits = {split: sum(sample.split == split for sample in document.samples) for split in SPLITS}
    return VersionSummary(number, digest, created_at, len(document.samples), document.labels, splits)


def diff_versions(project: Project, before: int, after: int) -> VersionDiff:
    """What changed from version `before` to version `after`.

    Raises:
        VersionError: one of them does not exist or was changed.
    """
    old, new = (_by_content(read_document(project, *_find_entry(project, number)[:2])) for number in (before, after))
    both = sorted(old.keys() & new.keys())
    return VersionDiff(
        added=tuple(sha256 for sha256, _ in sorted(new.keys() - old.keys())),
        removed=tuple(sha256 for sha256, _ in sorted(old.keys() - new.keys())),
        relabelled=tuple(Relabelled(key[0], old[key].label, new[key].label) for key in both if old[key].label != new[key].label),
        moved=tuple(key[0] for key in both if old[key].split != new[key].split),
    )


def _by_content(document: VersionDocument) -> Mapping[tuple[str, int], StoredSample]:
    return {(sample.sha256, sample.occurrence): sample for sample in document.samples}


def run_freeze_job(project: Project, job: FreezeJob, context: JobContext) -> VersionSummary:
    """The job behind `freeze`."""
    context.progress(0, 1, "version", "freezing")
    version = freeze_version(project, seed=job.seed, shares=job.shares)
    context.progress(1, 1, "version", "freezing")
    return _summary(version.number, version.digest, version.created_at, read_document(project, version.number, version.digest))
