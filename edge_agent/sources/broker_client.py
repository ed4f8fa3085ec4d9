"""One connection of an application with an MQTT broker, driven by the thread that uses it."""

import contextlib
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from edge_agent.sources.device_secrets import SecretName, read_secret
from edge_agent.sources.source import Options, SourceError, resolve

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 30
LOOK_S = 0.2
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BrokerOptions(Options, frozen=True, kw_only=True):
    """`url` is `mqtt://host:port` or `mqtts://…`; `password` names a file in the agent's folder `secrets`; `protocol` 4 is MQTT 3.1.1."""

    url: str
    username: str = ""
    password: SecretName = ""
    ca_file: str = ""
    protocol: Literal[4, 5] = 5


class BrokerAddress:
    """Where and as whom, checked."""

    def __init__(self, options: BrokerOptions, data_folder: Path) -> None:
        """Raises SourceError where the address is none, a secret is missing or the certificate can not be read."""
        parts = urlsplit(options.url)
        try:
            port = parts.port
        except ValueError as error:
            raise SourceError(f"{options.url[:120]!r} has no valid port") from error
        if parts.scheme not in _PORTS or not parts.hostname or parts.username or parts.password:
            raise SourceError(
                f"{parts.scheme}://{parts.hostname or ''} is no broker: expected mqtt://host:port or mqtts://host:port, no account"
            )
        self.host, self.port, self.protocol = parts.hostname, port or _PORTS[parts.scheme], options.protocol
        self.username, self.password = options.username, read_secret(options.password, data_folder)
        self.context: ssl.SSLContext | None = None
        if parts.scheme == "mqtts":
            try:
                self.context = ssl.create_default_context(cafile=str(resolve(options.ca_file, data_folder)) if options.ca_file else None)
            except (OSError, ssl.SSLError) as error:
                raise SourceError(f"the certificate authority {options.ca_file} can not be read: {error}") from error


class BrokerClient:
    """An open connection; every method belongs to one thread."""

    def __init__(self, address: BrokerAddress, on_message: Callable[[str, bytes], None] | None = None) -> None:
        """Connect; raises SourceError where that fails."""
        import paho.mqtt.client as paho
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        self._where = f"the broker {address.host}:{address.port}"
        self._answer: str | None = None
        self._subscribed: str | None = None
        self._paho = paho
        self._client: Any = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(address.protocol), reconnect_on_failure=False
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S
        if address.username:
            self._client.username_pw_set(address.username, address.password)
        if address.context is not None:
            self._client.tls_set_context(address.context)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._granted
        if on_message is not None:
            self._client.on_message = lambda _client, _data, message: on_message(message.topic, bytes(message.payload))
        try:
            self._open(address)
        except SourceError:
            self.close()
            raise

    def _open(self, address: BrokerAddress) -> None:
        try:
            self._client.connect(address.host, address.port, KEEPALIVE_S)
            self._until(lambda: self._answer is not None, "did not answer")
        except (OSError, ValueError) as error:
            raise SourceError(f"{self._where} can not be reached: {error}") from error
        if self._answer:
            raise SourceError(f"{self._where} refused: {self._answer}")

    def _connected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:  # noqa: ANN401  (paho's)
        self._answer = str(reason) if reason.is_failure else ""

    def _granted(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:  # noqa: ANN401  (paho's)
        self._subscribed = ", ".join(str(reason) for reason in reasons if reason.is_failure)

    def subscribe(self, topic: str, qos: int) -> None:
        """Subscribe and wait for the broker's consent.

        Raises:
            SourceError: it refuses, or the connection is lost.
        """
        try:
            self._client.subscribe(topic, qos)
        except ValueError as error:
            raise SourceError(f"{topic[:80]!r} is no topic filter: {error}") from error
        self._until(lambda: self._subscribed is not None, f"did not answer the subscription of {topic[:80]}")
        if self._subscribed:
            raise SourceError(f"{self._where} refused the subscription of {topic[:80]}: {self._subscribed}")

    def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Publish; with QoS 1 wait until the broker has it.

        Raises:
            SourceError: the connection is lost.
        """
        try:
            sent = self._client.publish(topic, payload, qos, retain)
        except ValueError as error:
            raise SourceError(f"{topic[:80]!r} can not be published to: {error}") from error
        self._until(sent.is_published, "did not take a message")

    def serve(self, timeout_s: float = LOOK_S) -> None:
        """Let messages in and out, and keep the connection alive.

        Raises:
            SourceError: it is lost.
        """
        state = self._client.loop(timeout_s)
        if state != self._paho.MQTT_ERR_SUCCESS:
            raise SourceError(f"the connection with {self._where} is lost: {self._paho.error_string(state)}")

    def close(self) -> None:
        """Say good-bye where that is possible, and leave no socket open."""
        with contextlib.suppress(OSError, ValueError):
            self._client.disconnect()
            self._client.loop(LOOK_S)
        self._client.reinitialise()  # paho keeps the pair of sockets that wakes its loop until it is collected

    def _until(self, condition: Callable[[], bool], failing: str) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise SourceError(f"{self._where} {failing} within {CONNECT_TIMEOUT_S:g} s")
            self._serve_until(condition)

    def _serve_until(self, condition: Callable[[], bool]) -> None:
        """A broker that refuses says why, then hangs up: what it said counts."""
        try:
            self.serve()
        except SourceError:
            if not condition():
                raise
