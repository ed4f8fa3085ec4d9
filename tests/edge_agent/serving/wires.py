"""A connection without a network: a transport that keeps what is written, and a door that lets everyone in."""

import asyncio
from collections.abc import Callable

from edge_agent.serving.connection import Body, Connection
from edge_agent.serving.http_messages import Head, Response
from edge_agent.serving.traffic import Traffic, TrafficDoor

LIMIT = 100_000


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the loop go round until it holds; at most 10,000 times."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise TimeoutError("what was waited for did not happen")


class Wire(asyncio.Transport):
    """The server's end. `feed` gives the connection bytes as a loop would; `written` is what it answers."""

    def __init__(self, traffic: Traffic, handle: Callable[[Head, Body], Response]) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closed = False
        self.connection = Connection(handle, TrafficDoor(traffic, lambda _head: None))
        self.connection.connection_made(self)

    async def feed(self, data: bytes) -> None:
        """Deliver bytes, as much at once as the connection takes, while it reads."""
        while data and not self.closed:
            await turns_until(lambda: self.reading)
            view = self.connection.get_buffer(-1)
            assert len(view), "the connection asked for no bytes at all"
            piece = data[: len(view)]
            view[: len(piece)] = piece
            data = data[len(piece) :]
            self.connection.buffer_updated(len(piece))
        if not self.connection.blocked_since_s:
            await turns_until(lambda: self.reading or self.closed)

    def lose(self) -> None:
        """The client is gone."""
        self.closed = True
        self.connection.connection_lost(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True
