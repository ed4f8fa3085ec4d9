"""Artifacts: files named by their SHA-256, written all or nothing."""

import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from contract.files import check_file, read_bounded, sha256_of, sync_folder, write_atomic
from contract.manifest import FileEntry
from contract.names import is_sha256
from contract.package import PACKAGE_MAX_BYTES
from fleet_server.errors import NotFoundError, RefusedError, TooLargeError

ARTIFACT_MAX_BYTES = PACKAGE_MAX_BYTES


class ArtifactStore:
    """A folder of artifacts; what is there is whole, since a file gets its name only after its digest was checked."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, create it if absent, and drop what an interrupted upload left."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".upload-*"):
            leftover.unlink(missing_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where an artifact lies or would lie.

        Raises:
            NotFoundError: `sha256` is no digest.
        """
        if not is_sha256(sha256):
            raise NotFoundError(f"{sha256[:80]!r} is no SHA-256", "Use 64 lower-case hexadecimal digits.")
        return self.folder / sha256[:2] / sha256

    def size_of(self, sha256: str) -> int | None:
        """Bytes of an artifact; None where it is absent."""
        path = self.path_of(sha256)
        return path.stat().st_size if path.is_file() else None

    def lacks(self, entry: FileEntry) -> str:
        """Why a file that a signed document names can not be served; empty where it can."""
        size = self.size_of(entry.sha256)
        if size is None:
            return f"{entry.sha256[:16]}… was not uploaded"
        return (
            "" if size == entry.size_bytes else f"{entry.sha256[:16]}… has {size} bytes here, the signed document says {entry.size_bytes}"
        )

    def read(self, sha256: str, max_bytes: int) -> bytes:
        """A small artifact as bytes, checked again.

        Raises:
            NotFoundError: it is absent.
            SizeError, DigestError: it is too large, or the disk changed it.
        """
        path = self.path_of(sha256)
        if not path.is_file():
            raise NotFoundError(f"the artifact {sha256[:16]}… is not here", "Upload it first.")
        data = read_bounded(path, max_bytes)
        check_file(path, sha256, len(data))
        return data

    def write(self, data: bytes) -> FileEntry:
        """Store small bytes."""
        digest = sha256_of(data)
        write_atomic(self.path_of(digest), data)
        return FileEntry(digest, len(data))

    def receive(self, sha256: str, max_bytes: int = ARTIFACT_MAX_BYTES) -> "Upload":
        """Begin a streamed upload; use it in a `with` block."""
        return Upload(self.path_of(sha256), sha256, max_bytes)


class Upload:
    """One streamed upload: nothing is visible before `finish` has checked the digest."""

    def __init__(self, target: Path, sha256: str, max_bytes: int) -> None:
        self._target = target
        self._sha256 = sha256
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._temporary = Path()
        self.size_bytes = 0

    def __enter__(self) -> Self:
        """Open the temporary file."""
        descriptor, name = tempfile.mkstemp(dir=self._target.parent.parent, prefix=".upload-")
        self._file = os.fdopen(descriptor, "wb")
        self._temporary = Path(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove what was not finished."""
        if self._file is not None:
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, chunk: bytes) -> None:
        """Append a piece.

        Raises:
            TooLargeError: more than the bound.
        """
        self.size_bytes += len(chunk)
        if self.size_bytes > self._max_bytes:
            raise TooLargeError(f"the artifact is larger than the {self._max_bytes} bytes that are accepted")
        if self._file is not None:
            self._hash.update(chunk)
            self._file.write(chunk)

    def finish(self) -> int:
        """Check the digest, make the file durable and visible; returns its size in bytes.

        Raises:
            RefusedError: the bytes are not those that the address names.
        """
        found = self._hash.hexdigest()
        if found != self._sha256 or self._file is None:
            raise RefusedError(
                f"the body has SHA-256 {found[:16]}…, the address says {self._sha256[:16]}…",
                "Send the file again; it was cut short or is another one.",
            )
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._target.parent.mkdir(exist_ok=True)
        self._temporary.chmod(0o644)
        self._temporary.replace(self._target)
        sync_folder(self._target.parent)
        return self.size_bytes
