"""The one small layer through which updates touch files, so that a test can cut the power at any byte.

Each method is one operation of the file system; `replace_content` and `remove_tree` are made of
them. Only checking a whole version and looking whether something is there read past this layer.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import Protocol

from contract.files import read_bounded

TEMPORARY = ".tmp"


class Disk(Protocol):
    """What updates do with files. Every method may raise OSError."""

    def read(self, path: Path, max_bytes: int) -> bytes:
        """A whole file; raises SizeError where it is larger."""

    def write(self, path: Path, data: bytes) -> None:
        """Create a file, or give it this content; not yet durable."""

    def append(self, path: Path, data: bytes) -> None:
        """Add to the end of a file, made where it is missing; not yet durable."""

    def truncate(self, path: Path, size_bytes: int) -> None:
        """Cut a file to its first bytes; not yet durable."""

    def sync(self, path: Path) -> None:
        """Make a file's content durable, or the names in a folder."""

    def rename(self, source: Path, target: Path) -> None:
        """Give a file or folder another name in one step, in place of a file of that name."""

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file's content."""

    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is fine."""

    def make_folder(self, path: Path) -> None:
        """Make a folder with those above it; one that is there is fine."""

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""


class RealDisk:
    """The device's own disk."""

    def read(self, path: Path, max_bytes: int) -> bytes:
        """See `Disk`."""
        return read_bounded(path, max_bytes)

    def write(self, path: Path, data: bytes) -> None:
        """See `Disk`."""
        path.write_bytes(data)

    def append(self, path: Path, data: bytes) -> None:
        """See `Disk`."""
        with path.open("ab") as file:
            file.write(data)

    def truncate(self, path: Path, size_bytes: int) -> None:
        """See `Disk`."""
        os.truncate(path, size_bytes)

    def sync(self, path: Path) -> None:
        """See `Disk`; folders of systems that can not open them are left alone."""
        if os.name != "posix" and path.is_dir():
            return
        descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        """See `Disk`."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """See `Disk`; a durable copy where the file system has no links."""
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:
            shutil.copyfile(source, target)
            self.sync(target)

    def remove(self, path: Path) -> None:
        """See `Disk`."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """See `Disk`."""
        path.mkdir(mode=0o755, parents=True, exist_ok=True)

    def remove_folder(self, path: Path) -> None:
        """See `Disk`."""
        path.rmdir()


REAL_DISK = RealDisk()


def temporary_beside(path: Path) -> Path:
    """A free hidden name in the same folder; what is left there by a cut is removed at the next start."""
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}{TEMPORARY}")


def replace_content(disk: Disk, path: Path, data: bytes) -> None:
    """Give a file this content, all or nothing, durably; a failure leaves the old content.

    Raises:
        OSError: the disk is full or broken. The new content may be there all the same where the
            very last step failed.
    """
    temporary = temporary_beside(path)
    try:
        disk.write(temporary, data)
        disk.sync(temporary)
        disk.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync(path.parent)


def remove_tree(disk: Disk, folder: Path) -> None:
    """Remove a folder with all it holds; one that is not there is fine."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            remove_tree(disk, path)
        else:
            disk.remove(path)
    disk.remove_folder(folder)
