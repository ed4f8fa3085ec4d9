"""An endpoint that accepts no more leaves no client without an answer."""

import asyncio
import socket
from contextlib import closing

import pytest

from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import Head, Response
from edge_agent.serving.listeners import open_listeners
from edge_agent.serving.traffic import Traffic

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Named:
    """A service that answers with its name."""

    def __init__(self, name: bytes) -> None:
        self.traffic = Traffic(1000)
        self.name = name

    def handle(self, _head: Head, _body: Body) -> Response:
        return Response(200, self.name)


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_comes_while_the_draining_begins_is_answered_here_or_by_the_next(turns: int) -> None:
    """Accepted and not yet served for a few turns of the loop: nobody may forget it there."""
    assert asyncio.run(drain_after(turns)).startswith(b"HTTP/1.1 200 OK")


async def drain_after(turns: int) -> bytes:
    """What a client is answered that connects so many turns before its server drains and another takes its place."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        before = await open_listeners([listening.dup()], Named(b"before"))
        with closing(socket.create_connection(listening.getsockname())) as client:
            client.settimeout(5)
            client.sendall(REQUEST)
            for _ in range(turns):
                await asyncio.sleep(0)
            await before.drain(5)
            before.close()
            after = await open_listeners([listening.dup()], Named(b"after"))
            answer = await asyncio.to_thread(client.recv, 1000)
            after.close()
            await asyncio.sleep(0.02)  # their sockets are closed a turn later
            return answer
