"""Which broker a fleet server uses and how the server itself, as an ordinary client, reaches it."""

import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fleet_server.broker.access import SERVER_USERNAME

EMBEDDED = "embedded"
MOSQUITTO = "mosquitto"
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BrokerError(Exception):
    """A broker can not be used; the message says what to do."""


@dataclass(frozen=True)
class BrokerSettings:
    """What to start: `choice` is `embedded`, `mosquitto` or the URL of a broker that runs already.

    `folder` keeps mosquitto's files. `port` 0 takes a free one. With `tls_cert` and `tls_key` (PEM)
    clients must use TLS.
    """

    choice: str
    fleet: str
    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True)
class BrokerAddress:
    """How the server connects. `pinned` is the certificate of a broker on this machine, trusted as it is."""

    host: str
    port: int
    username: str = SERVER_USERNAME
    password: str = ""
    tls: bool = False
    pinned: Path | None = None

    @property
    def url(self) -> str:
        """What devices are told, without any password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context for the server's own connection, None without TLS."""
        if not self.tls:
            return None
        context = ssl.create_default_context()
        if self.pinned is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # the very certificate is pinned, whatever name it bears
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(self.pinned)
        return context


class DeviceDirectory(Protocol):
    """The devices that may connect, with their verifiers (see `passwords.hash_password`)."""

    def find_verifier(self, device: str) -> str | None:
        """The verifier of an enrolled device that is not revoked."""

    def list_verifiers(self) -> Mapping[str, str]:
        """All of them by device id."""


class Broker(Protocol):
    """A broker in use."""

    @property
    def address(self) -> BrokerAddress:
        """How the server itself connects."""

    async def admit(self, device: str) -> None:
        """A device was enrolled, or has a new password: the directory knows it already."""

    async def expel(self, device: str) -> None:
        """A device was revoked: it loses its connection and can not come back."""


def parse_address(url: str) -> BrokerAddress:
    """The address in `mqtt://user:password@host:port` (or `mqtts://`).

    Raises:
        BrokerError: it is no such URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BrokerError(f"{_without_password(url)!r} is no URL of a broker: {error}") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise BrokerError(f"{_without_password(url)!r} is no broker; expected embedded, mosquitto or mqtt://user:password@host:port")
    return BrokerAddress(
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        username=urllib.parse.unquote(parts.username or SERVER_USERNAME),
        password=urllib.parse.unquote(parts.password or ""),
        tls=parts.scheme == "mqtts",
    )


def _without_password(url: str) -> str:
    before, separator, after = url.rpartition("@")
    return f"…@{after}" if separator and before else after


def loopback_of(host: str) -> str:
    """An address at which this machine reaches a listener bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
