"""Field samples on disk: one numbered file of data and one numbered JSON line each, under a cap of bytes, the oldest deleted first.

`7.png` is whole once `7.json` is there. Names are compared as numbers: 10 comes after 8. Nothing is
synced to the flash on purpose: what a power cut damages is found by its length and deleted.
"""

import contextlib
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.errors import SizeError
from contract.files import read_plain, sha256_of
from contract.samples import LINE_MAX_BYTES, FieldSample

CAPTURED_FOLDER = "captured"
_NUMBERED = re.compile(r"^([1-9][0-9]{0,17})\.([a-z]{1,8})$")
_LINE_SUFFIX = "json"

log = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A sample that is whole: its number, its line and where its data lies."""

    number: int
    line: FieldSample
    path: Path


class FieldSampleStore:
    """One folder; processes that overlap never take the same number, and each counts what the others keep."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Make the folder, count what lies there and delete what is not whole; raises OSError."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._sizes: dict[int, int] = {}  # in the order of their numbers
        self.size_bytes = 0  # of all samples and lines
        folder.mkdir(parents=True, exist_ok=True)
        for temporary in folder.glob(".*.part"):
            temporary.unlink(missing_ok=True)
        numbers = sorted({number for number, _ in _numbered(folder)})
        whole = {kept.number: kept for kept in list_samples(folder)}
        for number in numbers:
            if number in whole:
                self._sizes[number] = whole[number].line.size_bytes + _size(folder / f"{number}.{_LINE_SUFFIX}")
            else:
                _delete(folder, number)
        self._next = max(numbers, default=0) + 1
        self.size_bytes = sum(self._sizes.values())
        self._make_room(0)

    def add(self, data: bytes, suffix: str, line: FieldSample) -> int | None:
        """Keep a sample, deleting the oldest for it; returns its number, None where it alone is above the cap.

        Raises:
            OSError: the disk is full or the folder is gone.
        """
        self._look_again()
        number = self._write_data(data, suffix, room_for=len(data) + LINE_MAX_BYTES // 16)
        if number is None:
            return None
        name = f"{number}.{suffix}"
        whole = msgspec.structs.replace(line, file=name, sha256=sha256_of(data), size_bytes=len(data))
        body = msgspec.json.encode(whole) + b"\n"
        try:
            _write_new(self._folder, f"{number}.{_LINE_SUFFIX}", body)
        except OSError:
            (self._folder / name).unlink(missing_ok=True)
            raise
        self._sizes[number] = len(data) + len(body)
        self.size_bytes += self._sizes[number]
        self._make_room(0)
        return number

    def _look_again(self) -> None:
        """See what another process added or deleted: a candidate in the shadow keeps samples beside the version that serves."""
        found: dict[int, int] = {}
        whole = set()
        for number, suffix in _numbered(self._folder):
            found[number] = found.get(number, 0) + max(0, _size(self._folder / f"{number}.{suffix}"))
            if suffix == _LINE_SUFFIX:
                whole.add(number)
        self._sizes = {number: self._sizes.get(number, found[number]) for number in sorted(whole)}
        self.size_bytes = sum(self._sizes.values())

    def _write_data(self, data: bytes, suffix: str, room_for: int) -> int | None:
        if room_for > self._max_bytes:
            return None
        self._make_room(room_for)
        while True:
            number, self._next = self._next, self._next + 1
            if (self._folder / f"{number}.{_LINE_SUFFIX}").exists():
                continue
            with contextlib.suppress(FileExistsError):
                _write_new(self._folder, f"{number}.{suffix}", data)
                return number

    def _make_room(self, needed: int) -> None:
        while self._sizes and self.size_bytes + needed > self._max_bytes:
            oldest = next(iter(self._sizes))
            _delete(self._folder, oldest)
            self.size_bytes -= self._sizes.pop(oldest)


def list_samples(folder: Path) -> list[Kept]:
    """Every whole sample of a folder, oldest first; damaged ones are left out."""
    lines = sorted(number for number, suffix in _numbered(folder) if suffix == _LINE_SUFFIX)
    return [kept for number in lines if (kept := _read(folder, number)) is not None]


def find_kept(folder: Path, number: int) -> Kept | None:
    """The whole sample of this number; None where there is none."""
    return _read(folder, number)


def count_samples(folder: Path) -> int:
    """How many lines lie there, damaged ones included: cheap."""
    return sum(suffix == _LINE_SUFFIX for _, suffix in _numbered(folder))


def discard(folder: Path, number: int) -> None:
    """Delete one sample, e.g. after it was uploaded or because its owner wants it gone."""
    _delete(folder, number)


def _read(folder: Path, number: int) -> Kept | None:
    try:
        line = msgspec.json.decode(read_plain(folder / f"{number}.{_LINE_SUFFIX}", LINE_MAX_BYTES), type=FieldSample)
    except (OSError, SizeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = _NUMBERED.match(line.file)
    if found is None or int(found[1]) != number or _size(folder / line.file) != line.size_bytes:
        return None
    return Kept(number, line, folder / line.file)


def _numbered(folder: Path) -> Iterator[tuple[int, str]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _NUMBERED.match(path.name)
        if found is not None:
            yield int(found[1]), found[2]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _delete(folder: Path, number: int) -> None:
    """The line first: without it the data counts for nothing."""
    (folder / f"{number}.{_LINE_SUFFIX}").unlink(missing_ok=True)
    for found, suffix in list(_numbered(folder)):
        if found == number:
            (folder / f"{number}.{suffix}").unlink(missing_ok=True)


def _write_new(folder: Path, name: str, data: bytes) -> None:
    """Write a file under a name that no other has; raises FileExistsError where one has."""
    temporary = folder / f".{os.getpid()}-{name}.part"
    try:
        with temporary.open("wb") as file:
            os.fchmod(file.fileno(), 0o660 if folder.stat().st_mode & stat.S_IWGRP else 0o600)  # the agent may be another user
            file.write(data)
        os.link(temporary, folder / name)
    finally:
        temporary.unlink(missing_ok=True)
