"""One agent per folder: a lock that the kernel drops with the process.

Where the system can lock a folder, `run/` itself is locked, which needs no room on the disk; the file in it says
which process it is. A disk that takes no file is thus no reason not to start.
"""

import contextlib
import os
from pathlib import Path

from edge_agent.home import HomeError


class HomeLock:
    """Held from `take` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptors: list[int] = []

    def take(self) -> None:
        """Take the lock.

        Raises:
            HomeError: another agent holds it, or the folder can not be locked.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_folder()
            self._lock_file()
        except OSError as error:
            self.release()
            raise HomeError(f"{self._path.parent} can not be locked: {error}") from error
        except HomeError:
            self.release()
            raise

    def _lock_folder(self) -> None:
        """Where the system, or a network's file system, can not lock a folder, the file must do."""
        if os.name == "posix":
            try:
                self._lock(os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                self.release()

    def _lock_file(self) -> None:
        """The file with this process's number, which older agents and people look at; a full or broken disk does without."""
        try:
            self._lock(os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644))
            os.ftruncate(self._descriptors[-1], 0)
            os.write(self._descriptors[-1], f"{os.getpid()}\n".encode())
        except OSError:
            if not self._descriptors:
                raise

    def _lock(self, descriptor: int) -> None:
        self._descriptors.append(descriptor)
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError) as error:
            raise HomeError(f"another agent (process {self._owner()}) runs in {self._path.parent.parent}; stop it first") from error

    def _owner(self) -> str:
        with contextlib.suppress(OSError):
            return self._path.read_bytes()[:32].decode(errors="replace").strip() or "?"
        return "?"

    def release(self) -> None:
        """Give it back."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _lock(descriptor: int) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
