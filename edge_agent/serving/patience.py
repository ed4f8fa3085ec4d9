"""How long the endpoint waits for a client, and why it stops: the rules against those that send or read too slowly."""

from typing import NamedTuple

from edge_agent.serving.connection import Connection
from edge_agent.serving.http_messages import HttpError


class Patience(NamedTuple):
    """Seconds, and the least rate at which a body must come.

    `head_s` and `body_s` count from the first byte of a request, so that a byte now and then gains nothing;
    `unread_s` from when the client stopped to read its answers.
    """

    idle_s: float = 75.0
    head_s: float = 10.0
    body_s: float = 20.0
    body_bytes_per_s: float = 10_000.0
    unread_s: float = 20.0
    linger_s: float = 1.0
    sweep_s: float = 1.0

    def end_if_due(self, connection: Connection, now_s: float) -> None:
        """Close or refuse a connection whose time is over."""
        blocked_s = connection.blocked_since_s
        silent_s = now_s - connection.last_activity_s
        if silent_s > self.idle_s + self.unread_s and not connection.answering:
            connection.abort()  # closed long ago, but the client never took what was written
        elif blocked_s is not None:
            if now_s - blocked_s > self.unread_s:
                connection.abort()
        elif connection.lingering:
            if silent_s > self.linger_s:
                connection.close()
        elif connection.idle:
            if silent_s > self.idle_s:
                connection.close()
        elif self._is_too_slow(connection, now_s):
            connection.refuse(HttpError(408, "the request comes too slowly", close=True))

    def _is_too_slow(self, connection: Connection, now_s: float) -> bool:
        since_s, received = connection.receiving_since_s, connection.received_body_bytes
        if since_s is None:
            return False
        allowed_s = self.head_s if received is None else self.body_s + received / self.body_bytes_per_s
        return now_s - since_s > allowed_s
