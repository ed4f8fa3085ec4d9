"""Who a client of the broker is and what it may do, decided by its authenticated name and never by its client id."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from contract.topics import device_may_publish, device_may_read
from fleet_server.broker.passwords import check_password

SERVER_USERNAME = "server"


class Identity(Protocol):
    """An authenticated client."""

    @property
    def name(self) -> str:
        """Authenticated name; sessions belong to it."""

    def may_publish(self, topic: str) -> bool:
        """Whether it may publish to `topic` (an exact name)."""

    def may_read(self, topic_filter: str) -> bool:
        """Whether it may subscribe to `topic_filter`."""


class Authenticator(Protocol):
    """Decides who a client is; may answer at once or with an awaitable."""

    def authenticate(self, username: str, password: bytes) -> "Identity | Awaitable[Identity | None] | None":
        """The client's identity, or None to refuse it."""


@dataclass(frozen=True)
class DeviceIdentity:
    """A device: its own topics and no others, by the rules of `contract.topics`."""

    fleet: str
    device: str

    @property
    def name(self) -> str:
        """The device's id."""
        return self.device

    def may_publish(self, topic: str) -> bool:
        """Device topics of its own."""
        return device_may_publish(self.fleet, self.device, topic)

    def may_read(self, topic_filter: str) -> bool:
        """Server topics of its own, by exact name."""
        return device_may_read(self.fleet, self.device, topic_filter)


@dataclass(frozen=True)
class ServerIdentity:
    """The fleet server itself: everything."""

    name: str = f"${SERVER_USERNAME}"  # no device can have this name

    def may_publish(self, topic: str) -> bool:  # noqa: ARG002
        """Every topic."""
        return True

    def may_read(self, topic_filter: str) -> bool:  # noqa: ARG002
        """Every filter."""
        return True


@dataclass(frozen=True)
class FleetAuthenticator:
    """The server by its own password, devices by the verifier that was stored at their enrolment.

    `find_verifier` returns the stored verifier (see `passwords.hash_password`) of a device that is
    enrolled and not revoked, else None. `server_username` must not be a device's id.
    """

    fleet: str
    server_password: str
    find_verifier: Callable[[str], str | None]
    server_username: str = SERVER_USERNAME

    def authenticate(self, username: str, password: bytes) -> Identity | None:
        """Compare in constant time; an unknown device costs as much as a wrong password."""
        if username == self.server_username:
            return ServerIdentity() if hmac.compare_digest(password, self.server_password.encode()) else None
        verifier = self.find_verifier(username)
        return DeviceIdentity(self.fleet, username) if check_password(password, verifier) else None
