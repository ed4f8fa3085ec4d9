"""What came and went over HTTP, counted since the start of the worker."""

from collections import Counter
from typing import TYPE_CHECKING
from weakref import WeakSet

from edge_agent.serving.http_messages import Head, HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_agent.serving.connection import Connection

MAX_CONNECTIONS = 256
SMALL_BODY_BYTES = 64 * 1024
BODIES_AT_ONCE = 4
KEPT_MAX_BYTES = 8 << 20
RETRY_SOON = (("Retry-After", "1"),)


class Traffic:
    """Open connections and answers by HTTP code, with the bounds of both."""

    def __init__(self, max_body_bytes: int) -> None:
        """`max_body_bytes` of one body; of all that are received at once, four times that."""
        self.max_body_bytes = max_body_bytes
        self.connections: set[Connection] = set()
        self.coming: WeakSet[Connection] = WeakSet()  # accepted, but not there yet; one whose handshake fails just disappears
        self.answers: Counter[int] = Counter()
        self.on_answered: Callable[[], None] = lambda: None  # called after each answer: what else there is to count

    @property
    def is_quiet(self) -> bool:
        """Whether no connection is open or coming."""
        return not self.connections and not self.coming

    @property
    def body_bytes(self) -> int:
        """Memory of the bodies that are being received."""
        return sum(connection.body_bytes for connection in self.connections)


class TrafficDoor:
    """The door of one listening socket: who comes in by it is checked by `let_in`, and counted."""

    def __init__(self, traffic: Traffic, let_in: "Callable[[Head], None]") -> None:
        self.max_body_bytes = traffic.max_body_bytes
        self._traffic = traffic
        self._let_in = let_in
        self._answers = traffic.answers
        self._known: Head | None = None  # let in before
        self.draining = False
        self.on_empty: Callable[[], None] = lambda: None

    def coming(self, connection: "Connection") -> None:
        """See `door.Door`."""
        self._traffic.coming.add(connection)

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""
        self._traffic.coming.discard(connection)
        connection.draining = self.draining
        self._traffic.connections.add(connection)

    def closed(self, connection: "Connection") -> None:
        """A connection is gone."""
        self._traffic.connections.discard(connection)
        if self._traffic.is_quiet:
            self.on_empty()

    def answered(self, state: int) -> None:
        """Count an answer that was sent, or would have been if its client were still there."""
        self._answers[state] += 1
        self._traffic.on_answered()

    def check(self, head: Head) -> None:
        """See `door.Door`."""
        if head is not self._known:  # a client that repeats itself has the same head each time
            self._let_in(head)
            self._known = head
        if head.content_length > self.max_body_bytes:
            raise HttpError(413, f"the body has {head.content_length} bytes, at most {self.max_body_bytes} are taken", close=True)
        if len(self._traffic.connections) > MAX_CONNECTIONS:
            raise HttpError(503, f"more than {MAX_CONNECTIONS} connections are open", close=True, headers=RETRY_SOON)

    def may_keep(self, size_bytes: int) -> bool:
        """See `door.Door`."""
        return sum(connection.kept_bytes for connection in self._traffic.connections) + size_bytes <= KEPT_MAX_BYTES

    def admit(self, held_bytes: int, wanted_bytes: int) -> None:
        """See `door.Door`."""
        if wanted_bytes <= SMALL_BODY_BYTES:
            return
        if self._traffic.body_bytes - held_bytes + wanted_bytes > BODIES_AT_ONCE * self.max_body_bytes:
            raise HttpError(503, "too many large bodies are being received", close=True, headers=RETRY_SOON)
