"""The file of a dataset version: what it holds, reading it with its digest verified."""

from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import decode
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of
from desktop_app.data.columns import Column
from desktop_app.data.project import Project
from desktop_app.errors import VersionError

VERSION_MAX_BYTES = 1 << 30


class StoredSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sample as the version's file holds it; `occurrence` counts equal rows of a table."""

    sha256: str
    label: str
    split: str
    occurrence: int = 0


class VersionDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """`versions/<number>.json`."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    task: str
    seed: int
    shares: tuple[float, float, float]
    labels: tuple[str, ...]
    samples: tuple[StoredSample, ...]
    columns: tuple[Column, ...] = ()
    target: str = ""


def version_path(project: Project, number: int) -> Path:
    """The file of a version."""
    return project.folder / "versions" / f"{number}.json"


def read_document(project: Project, number: int, digest: str) -> VersionDocument:
    """Read a version's file.

    Raises:
        VersionError: it is missing, changed, or of a newer schema version.
    """
    path = version_path(project, number)
    try:
        data = read_bounded(path, VERSION_MAX_BYTES)
        if sha256_of(data) != digest:
            raise VersionError(f"dataset version {number} was changed after it was frozen", "Restore the project from a backup.")
        return decode(data, VersionDocument, f"dataset version {number}", VERSION_MAX_BYTES)
    except OSError as error:
        raise VersionError(f"dataset version {number} can not be read: {error.strerror or error}") from error
    except ContractError as error:
        raise VersionError(f"dataset version {number} can not be read: {error}") from error


def trained_samples(project: Project) -> frozenset[str]:
    """Digests of all samples that any version trained or validated with."""
    rows = project.db.execute("SELECT number, digest FROM versions").fetchall()
    documents = (read_document(project, number, digest) for number, digest in rows)
    return frozenset(sample.sha256 for document in documents for sample in document.samples if sample.split != "test")
