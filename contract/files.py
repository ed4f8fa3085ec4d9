"""Reading with a bound and writing all or nothing; the only I/O of the contract."""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from contract.errors import DigestError, SizeError

CHUNK_BYTES = 1 << 20


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a whole file of at most `max_bytes`.

    Raises:
        SizeError: the file is larger; nothing but one byte over the bound was read.
        OSError: the file can not be read.
    """
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise SizeError(f"{path.name} is larger than the {max_bytes} bytes that are accepted here")
    return data


def read_plain(path: Path, max_bytes: int) -> bytes:
    """As `read_bounded`, for a file that a less trusted process made: a link, a device or a pipe is refused, and nothing is waited for.

    Raises:
        SizeError, OSError: see `read_bounded`.
    """
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, os.O_RDONLY | flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path.name} is no plain file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise SizeError(f"{path.name} is larger than the {max_bytes} bytes that are accepted here")
    return data


def sha256_of(data: bytes) -> str:
    """SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, read in pieces, as 64 lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def check_file(path: Path, sha256: str, size_bytes: int) -> None:
    """Check length first, then SHA-256.

    Raises:
        DigestError: one of them differs; the message names the file and both values.
    """
    found_size = path.stat().st_size
    if found_size != size_bytes:
        raise DigestError(f"{path.name} has {found_size} bytes, expected {size_bytes}: it is truncated or not the file it claims to be")
    found = sha256_of_file(path)
    if found != sha256:
        raise DigestError(f"{path.name} has SHA-256 {found[:16]}…, expected {sha256[:16]}…: its content was changed")


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable (a no-op where folders can not be opened)."""
    with contextlib.suppress(OSError, PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def atomic_writer(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success fsync and rename it there, on any error remove it.

    A reader sees the old content or the new one, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace the content of `path` by `data`, all or nothing, durably."""
    with atomic_writer(path, mode) as file:
        file.write(data)
