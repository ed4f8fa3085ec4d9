"""The listening sockets that a worker was handed, their connections, and how they end."""

import asyncio
import contextlib
import functools
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence

from edge_agent.serving.connection import Connection
from edge_agent.serving.http_messages import Head, HttpError
from edge_agent.serving.service import Service

MAX_CONNECTIONS = 256
SMALL_BODY_BYTES = 64 * 1024
BODIES_AT_ONCE = 4
RETRY_SOON = (("Retry-After", "1"),)
IDLE_S = 75.0
REQUEST_S = 20.0
LINGER_S = 1.0
_SWEEP_S = 1.0
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class ListenerError(Exception):
    """A socket can not be served as it is bound."""


class Listeners:
    """All servers of a worker and their open connections."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._draining = False
        self._empty = asyncio.Event()

    async def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on every socket.

        Raises:
            ListenerError: one is bound beyond loopback.
        """
        loop = asyncio.get_running_loop()
        for listening in sockets:
            factory = functools.partial(self._connect, self._checker(loopback=is_tcp_loopback(listening)))
            self._servers.append(await loop.create_server(factory, sock=listening))
        self._sweeper = loop.create_task(self._sweep(), name="sweep")

    def _connect(self, check: Callable[[Head], None]) -> Connection:
        connection = Connection(self._service.handle, check, self._forget)
        connection.draining = self._draining
        self._connections.add(connection)
        return connection

    def _checker(self, *, loopback: bool) -> Callable[[Head], None]:
        limit = self._service.max_body_bytes

        def check(head: Head) -> None:
            if loopback:
                check_host(head.headers)
            if head.content_length > limit:
                raise HttpError(413, f"the body has {head.content_length} bytes, at most {limit} are taken", close=True)
            if len(self._connections) > MAX_CONNECTIONS:
                raise HttpError(503, f"more than {MAX_CONNECTIONS} connections are open", close=True, headers=RETRY_SOON)
            if head.content_length > SMALL_BODY_BYTES and self._bodies_under_way() + head.content_length > BODIES_AT_ONCE * limit:
                raise HttpError(503, "too many large bodies are being received", close=True, headers=RETRY_SOON)

        return check

    def _bodies_under_way(self) -> int:
        return sum(connection.body_bytes for connection in self._connections)

    async def _sweep(self) -> None:
        """Close connections that are idle for long or send a request too slowly."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for connection in list(self._connections):
                silent_s = now_s - connection.last_activity_s
                if connection.lingering and silent_s > LINGER_S:
                    connection.close()
                if connection.answering or silent_s < REQUEST_S:
                    continue
                if not connection.idle:
                    connection.refuse(HttpError(408, f"no byte of the request came for {REQUEST_S:g} s", close=True))
                elif silent_s > IDLE_S:
                    connection.close()

    async def drain(self, grace_s: float) -> None:
        """Accept no more; answer what comes on open connections for `grace_s`, each answer being the connection's last."""
        self._draining = True
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.draining = True
        await self._wait_for_end(grace_s)
        for connection in list(self._connections):
            if not connection.answering:
                connection.close()
        await self._wait_for_end(grace_s)

    async def _wait_for_end(self, timeout_s: float) -> None:
        """Until the last connection is closed, or no longer."""
        self._empty.clear()
        if self._connections:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._empty.wait(), timeout_s)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def close(self) -> None:
        """Close everything now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close()


def check_host(headers: Mapping[str, str]) -> None:
    """Refuse what a web page in a browser on this machine could send through a name that it controls.

    Raises:
        HttpError: `Host` is no name of loopback, or `Origin` is another site's.
    """
    host = headers.get("host", "localhost").lower()
    if _without_port(host) not in _LOOPBACK_NAMES:
        raise HttpError(421, f"this endpoint answers to localhost only, not to {host[:80]!r}", close=True)
    origin = headers.get("origin")
    if origin is not None and _without_port(origin.lower().partition("://")[2]) not in _LOOPBACK_NAMES:
        raise HttpError(403, "requests of other sites are not taken", close=True)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def is_tcp_loopback(listening: socket.socket) -> bool:
    """True for TCP on loopback, False for a Unix socket.

    Raises:
        ListenerError: it is bound beyond loopback.
    """
    if listening.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    address = listening.getsockname()[0]
    if not ipaddress.ip_address(address).is_loopback:
        raise ListenerError(
            f"the endpoint is bound to {address}; beyond loopback it needs a token and TLS, which this agent version does not have"
        )
    return True


async def open_listeners(sockets: Sequence[socket.socket], service: Service) -> Listeners:
    """Accept on all `sockets`; raises `ListenerError`."""
    listeners = Listeners(service)
    await listeners.open(sockets)
    return listeners
