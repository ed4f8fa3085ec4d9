"""Lines of readings from a serial port, a named pipe or a file.

A tty is opened by the operating system's own means (8 data bits, no parity, raw). An address with
`://` (`rfc2217://host:port`, `socket://host:port`) needs the package pyserial. Ports and pipes are
live: what the model is too slow for is dropped. A plain file is read once, each line in its turn.
"""

import os
import select
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.live import LivePolicy, Mailbox, ThreadedSource
from edge_agent.sources.readings import READING_MAX_BYTES, Readings, decode_fields
from edge_agent.sources.source import Options, SourceError, resolve

POLICY = LivePolicy(slots=16)
LOOK_S = 0.2

Read = Callable[[], bytes | None]
"""Bytes as they come within `LOOK_S`; empty: none yet; None: the end."""


class SerialOptions(Options, frozen=True):
    """`path` of a port, pipe or file, or pyserial's address; `columns` in the order of a line; `hop` readings from window to window."""

    path: str
    baud: Annotated[int, msgspec.Meta(ge=50, le=4_000_000)] = 115_200
    format: Literal["columns", "json"] = "columns"
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    columns: tuple[str, ...] = ()
    hop: Annotated[int, msgspec.Meta(ge=1)] = 1


class LineSplitter:
    """Bytes to lines of at most `READING_MAX_BYTES`; a longer one is given as None, once."""

    def __init__(self, *, skip_first: bool) -> None:
        """`skip_first`: what comes before the first line break was begun before anybody listened."""
        self._rest = b""
        self._skipping = skip_first
        self._too_long = False

    def split(self, chunk: bytes) -> list[bytes | None]:
        """The lines that `chunk` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found: list[bytes | None] = []
        for line in lines:
            if self._skipping:
                self._skipping = False
                if self._too_long:
                    found.append(None)
                self._too_long = False
            elif len(line) > READING_MAX_BYTES:
                found.append(None)
            else:
                found.append(line)
        if len(self._rest) > READING_MAX_BYTES:
            self._rest, self._skipping, self._too_long = b"", True, True
        return found

    @property
    def rest(self) -> bytes:
        """What is left without a line break at the end."""
        return b"" if self._skipping else self._rest


class SerialCapture:
    """Reads lines until told to stop."""

    def __init__(self, options: SerialOptions, spec: ModelSpec, path: Path) -> None:
        self._options = options
        self._path = path
        self._readings = Readings(spec, options.columns, options.hop)
        self._number = 0
        self._spec = spec

    def __call__(self, box: Mailbox) -> None:
        """See `edge_agent.sources.live.Capture`."""
        self._readings.interrupt()
        if "://" in self._options.path:
            self._read_port(box)
        else:
            self._read_path(box)

    def _read_path(self, box: Mailbox) -> None:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            raise SourceError(f"{self._path} can not be opened: {error}") from error
        try:
            if os.isatty(descriptor):
                make_raw(descriptor, self._options.baud)
            kind = os.fstat(descriptor).st_mode
            self._pump(box, lambda: _read(descriptor, kind), skip_first=stat.S_ISCHR(kind), in_turn=stat.S_ISREG(kind))
        except OSError as error:
            raise SourceError(f"{self._path} can not be read: {error}") from error
        finally:
            os.close(descriptor)

    def _read_port(self, box: Mailbox) -> None:
        serial = _pyserial(self._options.path)
        try:
            with serial.serial_for_url(self._options.path, baudrate=self._options.baud, timeout=LOOK_S) as port:
                self._pump(box, lambda: bytes(port.read(max(1, port.in_waiting))), skip_first=True, in_turn=False)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise SourceError(f"{self._options.path} can not be read: {error}") from error

    def _pump(self, box: Mailbox, read: Read, *, skip_first: bool, in_turn: bool) -> None:
        splitter = LineSplitter(skip_first=skip_first)
        while not box.stopped.is_set():
            chunk = read()
            if chunk is None:
                self._take(box, splitter.rest, in_turn=in_turn)
                return
            for line in splitter.split(chunk):
                self._take(box, line, in_turn=in_turn)

    def _take(self, box: Mailbox, line: bytes | None, *, in_turn: bool) -> None:
        if line is not None and not line.strip():
            return
        self._number += 1
        name = f"{self._path.name}:{self._number}"
        if line is None:
            self._readings.interrupt()
            box.drop(name, f"the line is longer than {READING_MAX_BYTES} bytes")
            return
        text = line.decode(errors="replace").strip("\r\0 ")
        if self._options.format == "json":
            box.put_built(name, lambda: self._readings.take(decode_fields(line)), in_turn=in_turn)
        else:
            box.put_built(name, lambda: self._readings.take_line(text, self._options.separator), in_turn=in_turn)


def _read(descriptor: int, kind: int) -> bytes | None:
    ready, _, _ = select.select([descriptor], [], [], LOOK_S)
    if not ready:
        return b""
    chunk = os.read(descriptor, 1 << 16)
    if chunk:
        return chunk
    if stat.S_ISFIFO(kind):  # no writer at the moment
        select.select([], [], [], LOOK_S)
        return b""
    return None


def make_raw(descriptor: int, baud: int) -> None:
    """Set a tty to raw bytes at `baud`, 8 data bits, no parity, one stop bit.

    Raises:
        SourceError: the system does not know that speed, or refuses.
    """
    import termios
    import tty

    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise SourceError(f"this system knows no serial speed of {baud} baud")
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        state: list[Any] = termios.tcgetattr(descriptor)
        state[2] = (state[2] & ~termios.PARENB & ~termios.CSTOPB & ~termios.CSIZE) | termios.CS8 | termios.CREAD | termios.CLOCAL
        state[4] = state[5] = speed
        termios.tcsetattr(descriptor, termios.TCSANOW, state)
    except termios.error as error:
        raise SourceError(f"the port can not be set to {baud} baud: {error}") from error


def _pyserial(path: str) -> Any:  # noqa: ANN401  (an optional package without types)
    try:
        import serial
    except ImportError as error:
        raise SourceError(
            f"the address {path[:80]} needs the package pyserial, which is not installed; a path of a port does not"
        ) from error
    return serial


def open_source(options: SerialOptions, spec: ModelSpec, data_folder: Path) -> ThreadedSource:
    """Check options and model; a port that is absent is waited for, a plain file is not live. Raises `SourceError`."""
    if "://" in options.path:
        _pyserial(options.path)
        path = Path(options.path)
    else:
        if os.name != "posix":
            raise SourceError("a serial port by its path needs Linux or macOS; elsewhere use pyserial's address, e.g. socket://host:port")
        path = resolve(options.path, data_folder)
    policy = None if path.is_file() else POLICY
    return ThreadedSource(path.name, SerialCapture(options, spec, path), policy)
