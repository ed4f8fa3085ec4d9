"""Originals by content: each file once, under its SHA-256, written whole or not at all."""

import os
import tempfile
from pathlib import Path

from contract.errors import SizeError
from contract.files import read_bounded, sha256_of
from desktop_app.data.project import Project
from desktop_app.errors import DataError

BLOB_MAX_BYTES = 1 << 30


class BlobWriter:
    """Writes many blobs; `flush` makes them durable, to be called before the catalogue speaks of them.

    One `fsync` per file would be most of an import's time. Until `flush` a power cut may leave a
    blob that is empty or short; it is never taken for the real one, since its length is compared.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._folders: set[Path] = set()
        self._files: list[Path] = []

    def write(self, sha256: str, body: bytes) -> None:
        """Keep `body` under its digest, unless it is there already."""
        path = self._project.blob_path(sha256)
        if path.is_file() and path.stat().st_size == len(body):
            return
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._files.append(path)

    def flush(self) -> None:
        """Make everything written so far durable."""
        if hasattr(os, "sync"):
            os.sync()
        else:
            for path in self._files:
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        self._files.clear()


def read_blob(project: Project, sha256: str, max_bytes: int = BLOB_MAX_BYTES) -> bytes:
    """The original with this digest, verified.

    Raises:
        DataError: it is missing or was changed.
    """
    path = project.blob_path(sha256)
    advice = "Restore the project from a backup, or import the original again."
    try:
        body = read_bounded(path, max_bytes)
    except FileNotFoundError as error:
        raise DataError(f"the project lacks the original {sha256[:16]}…", advice) from error
    except (OSError, SizeError) as error:
        raise DataError(f"an original of the project can not be read: {error}", advice) from error
    if sha256_of(body) != sha256:
        raise DataError(f"the original {sha256[:16]}… was changed: its content has another digest", advice)
    return body
