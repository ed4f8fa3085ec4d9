"""The capture process: `python -m edge_agent.frames.capture`, started by `edge_agent.frames.process`.

It opens one source and keeps it open while workers come and go. Its stdin is a socket: first the
request, then one byte with the descriptor of a doorbell for every worker, or a byte that asks whether it
is there. When stdin closes it ends. On stdout it says, line by line, that the first sample came, how the
source ended, and that it is there.
"""

import array
import asyncio
import contextlib
import logging
import os
import signal
import socket
import struct
import sys
from contextlib import aclosing
from pathlib import Path

import msgspec

from contract.application import Source as SourceDocument
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.frames.doorbell import open_doorbell
from edge_agent.frames.giving import FrameGiver
from edge_agent.frames.messages import CaptureRequest
from edge_agent.frames.process import ASK, ENDED, FAILED, GIVEN, HERE
from edge_agent.sources.live import ThreadedSource
from edge_agent.sources.source import Source, SourceError
from edge_agent.sources.table import open_source
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import claim_stdout, end_with_parent

REQUEST_LENGTH = struct.Struct("<I")
REQUEST_MAX_BYTES = 1 << 20


log = logging.getLogger(__name__)


class CaptureProcess:
    """One source, its giver, and the supervisor's socket."""

    def __init__(self, request: CaptureRequest, control: socket.socket, channel: int) -> None:
        self._request = request
        self._control = control
        self._channel = channel
        self._giver: FrameGiver | None = None
        self._source: Source | None = None
        self._ends: list[socket.socket] = []  # doorbells that came before the source was open
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Capture until the supervisor is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._control.fileno(), self._look)
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, self._ended.set)
        pump = asyncio.create_task(self._pump(), name="pump")
        pump.add_done_callback(self._finished)
        await self._ended.wait()
        pump.cancel()
        await asyncio.wait([pump])

    async def _pump(self) -> None:
        source: Source | None = None
        error: SourceError | None = None
        try:
            self._source = source = await asyncio.to_thread(_open, self._request)
        except SourceError as failure:
            error = failure
        giver = self._open_giver(source.live_slots if source is not None else 0)
        if source is not None:
            error = await _give_all(source, giver)
        giver.end(error)
        self._say(ENDED if error is None else FAILED)

    def _open_giver(self, live_slots: int) -> FrameGiver:
        self._giver = FrameGiver(live_slots, plain=self._request.plain, on_first=lambda: self._say(GIVEN))
        for end in self._ends:
            self._join(self._giver, end)
        self._ends.clear()
        return self._giver

    def _finished(self, pump: "asyncio.Task[None]") -> None:
        if not pump.cancelled() and (error := pump.exception()) is not None:
            log.critical("the capture failed", exc_info=error)
            self._ended.set()

    def _look(self) -> None:
        """A descriptor or a question from the supervisor, or its end."""
        try:
            told, end = receive(self._control)
        except OSError:
            told, end = b"", None
        if told == ASK:
            silent_s = self._source.silent_s if isinstance(self._source, ThreadedSource) else 0.0
            self._say(f"{HERE} {silent_s:.3f}")
        elif end is None:
            self._ended.set()
            asyncio.get_running_loop().remove_reader(self._control.fileno())
        elif self._giver is None:
            self._ends.append(end)
        else:
            self._join(self._giver, end)

    @staticmethod
    def _join(giver: FrameGiver, end: socket.socket) -> None:
        giver.join(lambda on_message, on_end: open_doorbell(end, on_message, on_end))

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(self._channel, f"{line}\n".encode())


def receive(control: socket.socket) -> tuple[bytes, socket.socket | None]:
    """One byte and the doorbell that came along; no byte where the supervisor has closed its side."""
    room = socket.CMSG_SPACE(array.array("i").itemsize)
    byte, ancillary, _, _ = control.recvmsg(1, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    for _, _, data in ancillary:
        (descriptor,) = array.array("i", data[: array.array("i").itemsize])
        return byte, socket.socket(fileno=descriptor)
    return byte, None


def _open(request: CaptureRequest) -> Source:
    document = SourceDocument(request.kind, msgspec.json.decode(request.options, type=dict))
    spec = ModelSpec(task="", labels=(), inputs=request.inputs, outputs=(), thresholds={})
    return open_source(document, spec, Path(request.data_folder))


async def _give_all(source: Source, giver: FrameGiver) -> SourceError | None:
    """Until it ends; returns why it failed."""
    try:
        if isinstance(source, ThreadedSource) and source.live_slots:
            await source.deliver(giver.take)
            return None
        async with aclosing(source.items()) as items:
            async for item in items:
                giver.take(item)
                await giver.wait_for_room()
    except SourceError as error:
        return error
    return None


def read_request(control: socket.socket) -> CaptureRequest | None:
    """The first thing on stdin; None where the supervisor is gone already.

    Raises:
        msgspec.DecodeError, ValueError: it is no request.
    """
    length_bytes = _read_exactly(control, REQUEST_LENGTH.size)
    if length_bytes is None:
        return None
    (length,) = REQUEST_LENGTH.unpack(length_bytes)
    if length > REQUEST_MAX_BYTES:
        raise ValueError(f"a request of {length} bytes; at most {REQUEST_MAX_BYTES} are accepted")
    data = _read_exactly(control, length)
    return None if data is None else msgspec.msgpack.decode(data, type=CaptureRequest)


def _read_exactly(control: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = control.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


def main() -> None:
    """Entry point of the child."""
    end_with_parent()
    confine()
    channel = claim_stdout()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    with socket.socket(fileno=os.dup(0)) as control:
        control.setblocking(True)
        request = read_request(control)
        if request is None:
            return
        control.setblocking(False)
        asyncio.run(_run(request, control, channel))


async def _run(request: CaptureRequest, control: socket.socket, channel: int) -> None:
    await CaptureProcess(request, control, channel).run()


if __name__ == "__main__":
    main()
