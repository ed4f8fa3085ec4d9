"""One JSON object per line into a file, with rotation by size."""

import errno
import io
import os
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent.sinks.sink import Record, SinkError, SinkHealth
from edge_agent.sources.source import Options, resolve

ADVICE = "See to its folder and to the space on the disk; it is tried again with every record"


class JsonlOptions(Options, frozen=True):
    """At `max_bytes` the file becomes `NAME.1`, that `NAME.2`, … of which `keep` are kept."""

    path: str
    max_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 10 << 20
    keep: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3


class JsonlSink:
    """See the module. Lines reach the operating system at once, the flash when it likes."""

    def __init__(self, options: JsonlOptions, data_folder: Path) -> None:
        self._options = options
        self._path = resolve(options.path, data_folder)
        self.health = SinkHealth(f"jsonl {options.path[:80]}")
        self._file: io.FileIO | None = None
        self._size = 0
        self._open()

    def write(self, record: Record) -> None:
        """Append one line.

        Raises:
            SinkError: it can not be written (the disk is full, the folder is gone).
        """
        line = msgspec.json.encode(record) + b"\n"
        try:
            file = self._file or self._open()
            if self._size and self._size + len(line) > self._options.max_bytes:
                file = self._rotate()
            self._append(file, line)
        except OSError as error:
            raise SinkError(f"{self._path} can not be written: {error}") from error
        if self.health.is_broken:
            self.health.works()

    def _append(self, file: io.FileIO, line: bytes) -> None:
        """The whole line or nothing of it: a disk that fills up may take a part."""
        written = file.write(line)
        if written != len(line):
            file.truncate(file.tell() - (written or 0))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> io.FileIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = file = io.FileIO(self._path, "a")
            self._size = file.seek(0, io.SEEK_END)
        except OSError as error:
            raise SinkError(f"{self._path} can not be written: {error}") from error
        return file

    def _rotate(self) -> io.FileIO:
        self.close()
        for number in range(self._options.keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        if self._options.keep:
            self._path.replace(self._numbered(1))
        else:
            self._path.unlink()
        return self._open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def open_sink(options: JsonlOptions, data_folder: Path) -> JsonlSink:
    """Open the file for appending; raises `SinkError`."""
    return JsonlSink(options, data_folder)
