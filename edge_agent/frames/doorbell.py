"""The doorbell between capture process and worker: a pair of connected sockets, one message per ring.

`SOCK_SEQPACKET` keeps messages whole, and carries the descriptor of the slots' memory. Where the
system lacks it, or sealed memory, a plain stream carries every message with its length, and samples whole.
"""

import array
import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from edge_agent.frames.messages import MESSAGE_MAX_BYTES

PAYLOAD_MAX_BYTES = 1 << 30
QUEUE_MAX = 256
"""Messages that may wait for one who does not read; only who asked is given anything, so a few are usual."""
_LENGTHS = struct.Struct("<IQ")  # of the message and of the payload behind it
_CHUNK_BYTES = 1 << 20
_ONE_DESCRIPTOR = socket.CMSG_SPACE(array.array("i").itemsize) if hasattr(socket, "CMSG_SPACE") else 0
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Arrived(NamedTuple):
    """One message with what came along: a descriptor (-1: none), now the receiver's, or a payload."""

    message: bytes
    descriptor: int = -1
    payload: bytes | bytearray = b""


def pairs_exist() -> bool:
    """Whether this system can hand a connection to another process at all."""
    return hasattr(socket, "AF_UNIX") and hasattr(socket, "send_fds") and os.name == "posix"


def slots_exist() -> bool:
    """Whether it has memory that can be handed over and sealed, and sockets that keep messages whole."""
    return all((hasattr(os, "memfd_create"), hasattr(os, "posix_fallocate"), hasattr(socket, "SOCK_SEQPACKET")))


def make_pair(*, plain: bool) -> tuple[socket.socket, socket.socket]:
    """Both ends of a new doorbell; `plain`: a stream."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM if plain else socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
    return pair


class Doorbell:
    """One end. `on_message` hears every message, `on_end` once that the other end is gone, both on the event loop that opened it.

    Any thread may ring and close.
    """

    def __init__(self, end: socket.socket, on_message: Callable[[Arrived], None], on_end: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._on_message = on_message
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[list[memoryview], int]] = deque()
        self._closed = self._blocked = False
        self._lock = threading.RLock()
        self._loop.add_reader(end.fileno(), self._look)

    def ring(self, message: bytes, payload: tuple[memoryview, ...] = (), descriptor: int = -1) -> bool:
        """Send one message; what the socket does not take at once waits. False where the other end is gone."""
        if len(message) > MESSAGE_MAX_BYTES:
            raise ValueError(f"a message of {len(message)} bytes; at most {MESSAGE_MAX_BYTES} are sent")
        parts = self._parts(message, payload)
        with self._lock:
            if self._closed:
                return False
            self._waiting.append((parts, descriptor))
            if len(self._waiting) > QUEUE_MAX:
                self.close()
            elif len(self._waiting) == 1:
                self._write()
            return not self._closed

    def close(self) -> None:
        """Close this end; `on_end` hears of it a little later, once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.clear()
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._end_here)

    def _end_here(self) -> None:
        self._loop.remove_reader(self._end.fileno())
        self._loop.remove_writer(self._end.fileno())
        self._end.close()
        self._on_end()

    def _parts(self, message: bytes, payload: tuple[memoryview, ...]) -> list[memoryview]:
        raise NotImplementedError

    def _look(self) -> None:
        try:
            arrived = self._read()
        except BlockingIOError:
            return
        except (OSError, ValueError):
            self.close()
            return
        for one in arrived:
            if not self._closed:
                self._on_message(one)

    def _read(self) -> list[Arrived]:
        """What came; raises ValueError at the end and for what is no message."""
        raise NotImplementedError

    def _write(self) -> None:
        with self._lock:
            try:
                while self._waiting:
                    parts, descriptor = self._waiting[0]
                    rest = _rest(parts, _send(self._end, parts, descriptor))
                    if rest:
                        self._waiting[0] = (rest, -1)
                    else:
                        self._waiting.popleft()
            except BlockingIOError:
                self._wait_to_write()
            except OSError:
                self.close()
            else:
                self._stop_waiting()

    def _wait_to_write(self) -> None:
        """Go on where the socket takes more; the first time perhaps from another thread."""
        if not self._blocked:
            self._blocked = True
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._watch)

    def _watch(self) -> None:
        with self._lock:
            if self._blocked and not self._closed:
                self._loop.add_writer(self._end.fileno(), self._write)

    def _stop_waiting(self) -> None:
        """On the event loop, since nobody else writes while something waits."""
        if self._blocked:
            self._blocked = False
            self._loop.remove_writer(self._end.fileno())


class PacketDoorbell(Doorbell):
    """Messages as the socket keeps them."""

    def _parts(self, message: bytes, payload: tuple[memoryview, ...]) -> list[memoryview]:
        if payload:
            raise ValueError("samples go through slots, not over this doorbell")
        return [memoryview(message)]

    def _read(self) -> list[Arrived]:
        data, ancillary, flags, _ = self._end.recvmsg(MESSAGE_MAX_BYTES, _ONE_DESCRIPTOR, _CLOSE_ON_EXEC)
        descriptors = _descriptors_in(ancillary) if ancillary else []
        if not data or len(descriptors) > 1 or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            raise ValueError("the other end is gone, or speaks nonsense")
        return [Arrived(data, descriptors[0] if descriptors else -1)]


class StreamDoorbell(Doorbell):
    """Messages with their lengths before them; a payload follows its message."""

    def __init__(self, end: socket.socket, on_message: Callable[[Arrived], None], on_end: Callable[[], None]) -> None:
        super().__init__(end, on_message, on_end)
        self._begun = bytearray()
        self._payload: bytearray | None = None  # of the message in `_begun`, as long as it is not whole
        self._filled = 0

    def _parts(self, message: bytes, payload: tuple[memoryview, ...]) -> list[memoryview]:
        head = _LENGTHS.pack(len(message), sum(part.nbytes for part in payload))
        return [memoryview(head + message), *(part.cast("B") for part in payload if part.nbytes)]

    def _read(self) -> list[Arrived]:
        if self._payload is not None:
            return self._read_payload(self._payload)
        chunk = self._end.recv(MESSAGE_MAX_BYTES)
        if not chunk:
            raise ValueError("the other end is gone")
        self._begun += chunk
        return self._whole_messages()

    def _whole_messages(self) -> list[Arrived]:
        found = []
        while len(self._begun) >= _LENGTHS.size:
            length, payload_bytes = _LENGTHS.unpack_from(self._begun)
            if length > MESSAGE_MAX_BYTES or payload_bytes > PAYLOAD_MAX_BYTES:
                raise ValueError(f"a message of {length} and a payload of {payload_bytes} bytes are no message")
            end = _LENGTHS.size + length
            if len(self._begun) < end:
                break
            message, rest = bytes(self._begun[_LENGTHS.size : end]), self._begun[end : end + payload_bytes]
            if len(rest) < payload_bytes:
                self._payload, self._filled = bytearray(payload_bytes), len(rest)
                self._payload[: len(rest)] = rest
                self._begun = bytearray(message)
                break
            del self._begun[: end + payload_bytes]
            found.append(Arrived(message, payload=rest))
        return found

    def _read_payload(self, payload: bytearray) -> list[Arrived]:
        with memoryview(payload) as view:
            got = self._end.recv_into(view[self._filled : self._filled + _CHUNK_BYTES])
        if not got:
            raise ValueError("the other end is gone")
        self._filled += got
        if self._filled < len(payload):
            return []
        message, self._begun, self._payload = bytes(self._begun), bytearray(), None
        return [Arrived(message, payload=payload)]


def open_doorbell(end: socket.socket, on_message: Callable[[Arrived], None], on_end: Callable[[], None]) -> Doorbell:
    """The kind of doorbell that the socket is an end of."""
    is_stream = end.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    return (StreamDoorbell if is_stream else PacketDoorbell)(end, on_message, on_end)


def _send(end: socket.socket, parts: list[memoryview], descriptor: int) -> int:
    if descriptor < 0:
        return end.send(parts[0])
    return end.sendmsg([parts[0]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])


def _rest(parts: list[memoryview], sent: int) -> list[memoryview]:
    return parts[1:] if sent >= parts[0].nbytes else [parts[0][sent:], *parts[1:]]


def _descriptors_in(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()
