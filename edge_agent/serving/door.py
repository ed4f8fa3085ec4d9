"""What a connection is let in by: the rules of one listening socket, as the connection sees them."""

from typing import TYPE_CHECKING, Protocol

from edge_agent.serving.http_messages import Head

if TYPE_CHECKING:
    from edge_agent.serving.connection import Connection


class Door(Protocol):
    """What a connection is let in by."""

    max_body_bytes: int

    def coming(self, connection: "Connection") -> None:
        """A connection was accepted; it is there a few turns of the loop later, with TLS after the handshake."""

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""

    def closed(self, connection: "Connection") -> None:
        """A connection is gone."""

    def check(self, head: Head) -> None:
        """Look at a request's head before its body is received; raises `HttpError`."""

    def admit(self, held_bytes: int, wanted_bytes: int) -> None:
        """Before a body that holds `held_bytes` takes more memory; raises `HttpError`."""

    def may_keep(self, size_bytes: int) -> bool:
        """Whether a connection may keep a buffer of this size for as long as it is open."""

    def answered(self, state: int) -> None:
        """An answer with this HTTP code is sent."""
