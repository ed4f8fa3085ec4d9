"""The agent's MQTT connection: one client per session, on the event loop, for as long as the agent runs.

Nothing is queued here: what must not be lost waits in the outbox, what is retained is said again on
every connect. So each session begins clean, and a lost one needs no repair.
"""

import asyncio
import contextlib
import logging
import random
import socket
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from contract.codec import MESSAGE_MAX_BYTES, encode, shorten
from contract.errors import ContractError
from contract.messages import PresenceMessage
from contract.names import check_id
from contract.states import Presence
from contract.topics import RETAINED, TO_DEVICE, Channel, build_topic, parse_topic, qos_of
from edge_agent.threads import in_thread

BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.5, 60.0
CONNECT_TIMEOUT_S = 10.0
HANDSHAKE_TIMEOUT_S = 15.0
MISC_S = 1.0
_FAREWELL_S = 0.5
_PORTS = {"mqtt": 1883, "mqtts": 8883}

log = logging.getLogger(__name__)


class LinkError(Exception):
    """A connection could not be made or broke; the link tries again by itself."""


class _Reason(Protocol):
    """What this module reads of paho's reason codes."""

    @property
    def is_failure(self) -> bool: ...


class LinkAccount(NamedTuple):
    """Where to connect and as whom."""

    mqtt_url: str
    fleet: str
    device: str
    password: str
    boot_id: str
    ca_file: Path | None = None
    keepalive_s: int = 30


class LinkHandler(Protocol):
    """What the link tells its owner, always on the event loop."""

    def link_opened(self, session: int) -> None:
        """Connected and subscribed: say hello."""

    def link_closed(self) -> None:
        """The connection is gone."""

    def message_received(self, channel: Channel, payload: bytes) -> None:
        """A message of at most `MESSAGE_MAX_BYTES` came."""

    def next_session(self) -> int:
        """A session number greater than all before."""


def parse_address(url: str) -> tuple[str, int, bool]:
    """Host, port and whether it is TLS.

    Raises:
        LinkError: it is no mqtt or mqtts address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:  # half a bracket, or a port beyond all ports
        raise LinkError(f"{url[:120]!r} is no mqtt or mqtts address: {shorten(error)}") from error
    if parts.scheme not in _PORTS or not host:
        raise LinkError(f"{url[:120]!r} is no mqtt or mqtts address")
    return host, port or _PORTS[parts.scheme], parts.scheme == "mqtts"


class FleetLink:
    """Keeps the device connected; `run` ends only when it is cancelled."""

    def __init__(self, account: LinkAccount, handler: LinkHandler) -> None:
        """Raises LinkError where the address is none."""
        self._host, self._port, self._tls = parse_address(account.mqtt_url)
        self._account = account
        self._handler = handler
        self._client: paho.Client | None = None
        self._tries = 0
        self.connected = False
        self.last_error = ""

    async def run(self) -> None:
        """Connect, serve, and connect again with a growing, random wait."""
        while True:
            try:
                await self._serve_session(self._handler.next_session())
            except (LinkError, OSError) as error:
                if str(error) != self.last_error:
                    log.warning("No connection with the fleet: %s", error)
                self.last_error = str(error)
            delay_s = random.uniform(0.5, 1.0) * min(BACKOFF_LAST_S, BACKOFF_FIRST_S * 2.0**self._tries)  # noqa: S311  (spreads load)
            self._tries += 1
            await asyncio.sleep(delay_s)

    def publish(self, channel: Channel, payload: bytes) -> bool:
        """Hand a message to the connection; False where there is none."""
        if not self.connected or self._client is None:
            return False
        topic = build_topic(self._account.fleet, self._account.device, channel)
        return bool(self._client.publish(topic, payload, qos_of(channel), channel in RETAINED).rc == MQTTErrorCode.MQTT_ERR_SUCCESS)

    async def _serve_session(self, session: int) -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()
        opened: asyncio.Future[None] = loop.create_future()
        client = self._make_client(session, opened, ended)
        await in_thread("fleet-connect", partial(_connect, client, self._host, self._port, self._account.keepalive_s))
        watch = _Watch(client, ended)
        try:
            await self._open(client, opened, ended)
            self._client, self.connected, self._tries, self.last_error = client, True, 0, ""
            log.info("Connected with the fleet at %s:%d", self._host, self._port)
            self._handler.link_opened(session)
            raise LinkError(await ended)
        except asyncio.CancelledError:
            await self._say_farewell(client, session)
            raise
        finally:
            was_connected, self.connected, self._client = self.connected, False, None
            watch.close()
            if was_connected:
                self._handler.link_closed()

    async def _open(self, client: paho.Client, opened: "asyncio.Future[None]", ended: "asyncio.Future[str]") -> None:
        either: tuple[asyncio.Future[Any], ...] = (opened, ended)
        await asyncio.wait(either, timeout=HANDSHAKE_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise LinkError(ended.result())
        if not opened.done():
            raise LinkError(f"the broker at {self._host}:{self._port} did not answer within {HANDSHAKE_TIMEOUT_S:g} s")
        client.publish(self._presence_topic, self._presence(Presence.ONLINE, int(client.user_data_get())), 1, retain=True)

    @property
    def _presence_topic(self) -> str:
        return build_topic(self._account.fleet, self._account.device, Channel.PRESENCE)

    def _presence(self, presence: Presence, session: int) -> bytes:
        return encode(PresenceMessage(PresenceMessage.SCHEMA_VERSION, presence, session, self._account.boot_id))

    async def _say_farewell(self, client: paho.Client, session: int) -> None:
        """On a clean end the will is not sent, so say it; then hang up."""
        with contextlib.suppress(OSError, ValueError):
            info = client.publish(self._presence_topic, self._presence(Presence.OFFLINE, session), 1, retain=True)
            for _ in range(int(_FAREWELL_S / 0.02)):
                if info.is_published():
                    break
                await asyncio.sleep(0.02)
            client.disconnect()

    def _make_client(self, session: int, opened: "asyncio.Future[None]", ended: "asyncio.Future[str]") -> paho.Client:
        account = self._account
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{check_id(account.device, 'device')}",
            userdata=session,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.username_pw_set(account.device, account.password)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._tls:
            client.tls_set(ca_certs=str(account.ca_file) if account.ca_file else None)
        client.will_set(self._presence_topic, self._presence(Presence.OFFLINE, session), 1, retain=True)
        topics = [(build_topic(account.fleet, account.device, channel), qos_of(channel)) for channel in sorted(TO_DEVICE)]

        def connected(client: paho.Client, _userdata: object, _flags: object, reason: _Reason, _properties: object) -> None:
            if reason.is_failure:
                _settle(ended, f"the broker at {self._host}:{self._port} refuses this device: {reason}")
            else:
                client.subscribe(topics)

        def subscribed(_client: object, _userdata: object, _mid: int, reasons: list[_Reason], _properties: object) -> None:
            refused = [str(reason) for reason in reasons if reason.is_failure]
            if refused:
                _settle(ended, f"the broker refuses this device's own topics: {', '.join(refused)}")
            elif not opened.done():
                opened.set_result(None)

        def disconnected(_client: object, _userdata: object, _flags: object, reason: _Reason, _properties: object) -> None:
            _settle(ended, f"the connection ended: {reason}")

        client.on_connect, client.on_subscribe, client.on_disconnect = connected, subscribed, disconnected
        client.on_message = self._received
        return client

    def _received(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        if len(message.payload) > MESSAGE_MAX_BYTES:
            log.warning(
                "A message of %d bytes on %s is ignored; at most %d are accepted", len(message.payload), message.topic, MESSAGE_MAX_BYTES
            )
            return
        try:
            topic = parse_topic(message.topic)
        except ContractError as error:
            log.warning("A message from the broker is ignored: %s", error)
            return
        if (topic.fleet, topic.device) != (self._account.fleet, self._account.device):
            log.warning("A message for %s/%s came to this device and is ignored", topic.fleet, topic.device)
            return
        try:
            self._handler.message_received(topic.channel, bytes(message.payload))
        except Exception:
            log.exception("A message on %s could not be handled", message.topic)


def _settle(future: "asyncio.Future[str]", text: str) -> None:
    if not future.done():
        future.set_result(text)


def _connect(client: paho.Client, host: str, port: int, keepalive_s: int) -> None:
    """The blocking part of connecting: name, TCP, TLS and the first packet."""
    try:
        client.connect(host, port, keepalive_s, clean_start=True)
    except (OSError, ValueError) as error:
        raise LinkError(f"{host}:{port} can not be reached: {error}") from error


class _Watch:
    """Joins a paho client to the event loop: its socket's readiness and its timers."""

    def __init__(self, client: paho.Client, ended: "asyncio.Future[str]") -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._ended = ended
        opened = client.socket()
        self._socket: socket.socket | None = opened
        if opened is None:
            _settle(ended, "the connection was closed at once")
            return
        self._descriptor = opened.fileno()
        client.on_socket_close = lambda *_: self._forget()
        client.on_socket_register_write = lambda *_: self._loop.add_writer(self._descriptor, client.loop_write)
        client.on_socket_unregister_write = lambda *_: self._loop.remove_writer(self._descriptor)
        self._loop.add_reader(self._descriptor, self._read)
        self._timer = self._loop.call_later(MISC_S, self._tick)
        if client.want_write():
            client.loop_write()

    def _read(self) -> None:
        try:
            self._client.loop_read()
            pending = getattr(self._socket, "pending", None)  # TLS may hold bytes that select does not see
            while self._socket is not None and pending is not None and pending():
                self._client.loop_read()
        except Exception as error:  # noqa: BLE001  (paho's parser raises whatever it stumbles over, and stands in the middle of a packet then)
            _settle(self._ended, f"the broker speaks nonsense: {type(error).__name__}: {shorten(error)}")

    def _tick(self) -> None:
        if self._client.loop_misc() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            _settle(self._ended, "the broker was silent for too long")
            return
        self._timer = self._loop.call_later(MISC_S, self._tick)

    def _forget(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._socket = None

    def close(self) -> None:
        """Leave the event loop and close the socket."""
        if self._socket is None:
            return
        self._timer.cancel()
        opened = self._socket
        self._forget()
        with contextlib.suppress(OSError):
            opened.close()
