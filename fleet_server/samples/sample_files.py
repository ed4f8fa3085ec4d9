"""The data of field samples as files named by their SHA-256; one file for all devices that sent the same.

A file is written beside its place first; it is moved there, and removed, only by the database's writer,
so that no row is ever without its file.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from contract.files import read_bounded, sync_folder
from contract.names import is_sha256
from contract.samples import SAMPLE_MAX_BYTES
from fleet_server.errors import NotFoundError


class SampleFiles:
    """A folder of samples' data."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, create it if absent, and drop what an interrupted upload left."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for leftover in folder.glob(".sample-*"):
            leftover.unlink(missing_ok=True)

    def _path_of(self, sha256: str) -> Path:
        if not is_sha256(sha256):
            raise NotFoundError(f"{sha256[:80]!r} is no SHA-256")
        return self.folder / sha256[:2] / sha256

    @contextlib.contextmanager
    def written(self, data: bytes) -> Iterator[Path]:
        """A temporary file with these bytes, safe on the disk, for the length of the block.

        Raises:
            OSError: the disk is full or broken.
        """
        descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=".sample-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def keep(self, temporary: Path, sha256: str) -> None:
        """Give a written file its name, durably; only in the writer."""
        path = self._path_of(sha256)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        temporary.replace(path)
        sync_folder(path.parent)

    def remove(self, sha256: str) -> None:
        """Remove a file; only in the writer, after no row names it any more."""
        self._path_of(sha256).unlink(missing_ok=True)

    def list_digests(self) -> list[str]:
        """Every file that is here."""
        return [path.name for path in self.folder.glob("??/*") if is_sha256(path.name)]

    def read(self, sha256: str) -> bytes:
        """The data of a sample.

        Raises:
            NotFoundError: it is gone.
        """
        try:
            return read_bounded(self._path_of(sha256), SAMPLE_MAX_BYTES)
        except FileNotFoundError as error:
            raise NotFoundError("the data of this sample are gone", "It was deleted meanwhile.") from error
