"""The embedded MQTT 5 listener: an in-process broker for one fleet of up to some two thousand devices.

It speaks the portable subset of the contract: QoS 0 and 1, exact retained topics, last will,
session expiry, payloads of at most 256 KiB. Everything is kept in memory: retained messages and
sessions are a cache, because the server answers each `hello` from its database, and a device
forgets an event only after the server's own `ack`. It is no general-purpose broker; when outgrown,
the same server speaks to mosquitto or to any other broker by URL.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from mqtt5 import DisconnectReasonCode as Reason

from fleet_server.broker.access import Authenticator
from fleet_server.broker.connection import Connection, Floor
from fleet_server.broker.limits import FailureGate, Limits
from fleet_server.broker.messages import Message
from fleet_server.broker.routing import Router

logger = logging.getLogger(__name__)


class Listener:
    """A running listener; made by `start_listener`."""

    def __init__(self, floor: Floor, server: asyncio.Server) -> None:
        self._floor = floor
        self._server = server

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def publish_local(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish as the server itself, without a connection; call it in the listener's event loop."""
        self._floor.router.publish(Message(topic, payload, qos=qos, retain=retain))

    def disconnect(self, name: str) -> int:
        """End every connection and session of an authenticated name, as after its revocation; returns how many."""
        router = self._floor.router
        sessions = [session for session in router.sessions.values() if session.key[0] == name]
        for connection in [connection for connection in self._floor.connections if connection.session in sessions]:
            connection.end(Reason.ADMINISTRATIVE_ACTION)
        for session in sessions:
            router.end_session(session)
        return len(sessions)

    def counts(self) -> dict[str, Any]:
        """Sessions, how many of them are online, retained messages, open connections."""
        return {**self._floor.router.counts(), "connections": len(self._floor.connections)}

    async def sweep_forever(self) -> None:
        """End silent connections and expired sessions, again and again."""
        floor = self._floor
        while True:
            await asyncio.sleep(floor.limits.sweep_s)
            now = floor.clock()
            for connection in [connection for connection in floor.connections if connection.deadline <= now]:
                connection.expire()
            floor.router.sweep()
            floor.gate.sweep(now)

    async def close(self) -> None:
        """Tell every client that the server goes, close all sockets; no will is published."""
        self._server.close()
        for connection in list(self._floor.connections):
            connection.close_for_shutdown()
        deadline = self._floor.clock() + 1.0
        while self._floor.connections and self._floor.clock() < deadline:  # noqa: ASYNC110  (runs once, at the end)
            await asyncio.sleep(0.01)
        for connection in list(self._floor.connections):
            connection.abort()
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def start_listener(
    host: str,
    port: int,
    authenticator: Authenticator,
    *,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Listener]:
    """Listen as long as the block lives; port 0 takes a free one.

    Raises:
        OSError: the port is taken or the address is none of this machine.
    """
    bounds = limits or Limits()
    gate = FailureGate(bounds.malformed_connects, bounds.malformed_window_s)
    floor = Floor(Router(bounds, clock), authenticator, bounds, clock, gate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(floor), host, port, ssl=ssl_context, backlog=1024)
    listener = Listener(floor, server)
    sweep = asyncio.create_task(listener.sweep_forever(), name="mqtt-sweep")
    logger.info("The embedded MQTT listener waits on %s:%s", host, listener.port)
    try:
        yield listener
    finally:
        sweep.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweep
        await listener.close()
