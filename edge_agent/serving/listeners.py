"""The listening sockets that a worker was handed, their connections, and how they end."""

import asyncio
import contextlib
import functools
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from edge_agent.serving.access import AccessError, check_host, check_token, is_loopback, is_tcp, open_tls
from edge_agent.serving.connection import Body, Connection
from edge_agent.serving.http_messages import Head, Response
from edge_agent.serving.patience import Patience
from edge_agent.serving.traffic import Traffic, TrafficDoor
from edge_agent.worker.messages import Access

HANDSHAKE_S = 5.0


class Answering(Protocol):
    """What answers the requests."""

    traffic: Traffic

    def handle(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        """Answer one request; raises `HttpError`."""


class ListenerError(Exception):
    """A socket can not be served as it is bound."""


class Listeners:
    """All servers of a worker and their open connections."""

    def __init__(self, service: Answering, access: Access, patience: Patience) -> None:
        self._service = service
        self._access = access
        self._patience = patience
        self._connections = service.traffic.connections
        self._servers: list[asyncio.Server] = []
        self._doors: list[TrafficDoor] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on every socket.

        Raises:
            ListenerError: one is bound beyond loopback without a token and TLS.
        """
        loop = asyncio.get_running_loop()
        for listening in sockets:
            try:
                tls = open_tls(listening, self._access)
            except AccessError as error:
                raise ListenerError(str(error)) from error
            door = TrafficDoor(self._service.traffic, self._guard(listening))
            door.on_empty = self._empty.set
            self._doors.append(door)
            connect = functools.partial(Connection, self._service.handle, door)
            handshake_s = None if tls is None else HANDSHAKE_S
            self._servers.append(await loop.create_server(connect, sock=listening, ssl=tls, ssl_handshake_timeout=handshake_s))
        self._sweeper = loop.create_task(self._sweep(), name="sweep")

    def _guard(self, listening: socket.socket) -> Callable[[Head], None]:
        """What a request's head must show at this socket; a Unix socket is guarded by its file mode."""
        if not is_tcp(listening):
            return lambda _head: None
        loopback, token_sha256 = is_loopback(listening), self._access.token_sha256

        def let_in(head: Head) -> None:
            if loopback:
                check_host(head.headers)
            if token_sha256:
                check_token(head.headers, token_sha256)

        return let_in

    async def _sweep(self) -> None:
        """Close connections that are idle for long, send a request too slowly, or do not read their answers."""
        while True:
            await asyncio.sleep(self._patience.sweep_s)
            now_s = time.monotonic()
            for connection in list(self._connections):
                self._patience.end_if_due(connection, now_s)

    async def drain(self, grace_s: float) -> None:
        """Accept no more; answer what comes on open connections for `grace_s`, each answer being the connection's last."""
        await self._stop_accepting()
        for door in self._doors:
            door.draining = True
        for connection in self._connections:
            connection.draining = True
        await self._wait_for_end(grace_s)
        for connection in list(self._connections):
            if not connection.answering:
                connection.close()
        await self._wait_for_end(grace_s)

    async def _stop_accepting(self) -> None:
        """Close the servers, a turn after they accepted their last: asyncio drops what a server accepted in the turn of its end."""
        loop = asyncio.get_running_loop()
        for listening in [each for server in self._servers for each in server.sockets]:
            with contextlib.suppress(NotImplementedError):
                loop.remove_reader(listening.fileno())
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()

    async def _wait_for_end(self, timeout_s: float) -> None:
        """Until the last connection is closed, also of those that were accepted and are not there yet; or no longer."""
        self._empty.clear()
        if not self._service.traffic.is_quiet:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)

    def close(self) -> None:
        """Close everything now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close()


async def open_listeners(
    sockets: Sequence[socket.socket], service: Answering, access: Access | None = None, patience: Patience | None = None
) -> Listeners:
    """Accept on all `sockets`; raises `ListenerError`."""
    listeners = Listeners(service, access or Access(), patience or Patience())
    await listeners.open(sockets)
    return listeners
