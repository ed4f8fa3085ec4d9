"""Records on their way out over a network: a queue with a bound, sent by a thread of its own, tried again after waits that grow.

Inference never waits for a sink. What the queue can not hold is lost oldest first, and said in the sink's health.
"""

import logging
import threading
import time
from collections import deque
from typing import NamedTuple, Protocol

import msgspec

from edge_agent.sinks.sink import Record, SinkHealth

IDLE_S = 1.0
FAREWELL_S = 1.0

log = logging.getLogger(__name__)


class UnsentError(Exception):
    """A record was not taken; `again` says whether another try makes sense."""

    def __init__(self, text: str, *, again: bool = True) -> None:
        """`text` for people."""
        super().__init__(text)
        self.again = again


class Sender(Protocol):
    """Sends one record; used by one thread only."""

    def send(self, body: bytes, record: Record) -> None:
        """Send; raises `UnsentError`."""

    def idle(self) -> None:
        """Called about once a second while there is nothing to send."""

    def close(self) -> None:
        """Let go of connections."""


class QueuePolicy(NamedTuple):
    """How many records may wait, and how long a failed one waits for its next try."""

    length: int = 1000
    backoff_first_s: float = 0.5
    backoff_last_s: float = 60.0


class QueuedSink:
    """See the module."""

    def __init__(self, name: str, sender: Sender, policy: QueuePolicy) -> None:
        """`name` is for people and the thread."""
        self._sender = sender
        self._policy = policy
        self._queue: deque[Record] = deque()
        self._change = threading.Condition()
        self._closing_at: float | None = None
        self.health = SinkHealth(name, self._queue)  # written while `_change` is held
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}"[:60], daemon=True)
        self._thread.start()

    def write(self, record: Record) -> None:
        """Leave a record in the queue; never blocks or raises."""
        with self._change:
            if len(self._queue) >= self._policy.length:
                self._queue.popleft()
                self.health.fails(self.health.reason if self.health.is_broken else "they come faster than they can be sent")
            self._queue.append(record)
            self._change.notify()

    def close(self) -> None:
        """Give what waits one second to leave, then end; what is left is lost, and said."""
        with self._change:
            self._closing_at = time.monotonic() + FAREWELL_S
            self._change.notify()
        self._thread.join(FAREWELL_S + 1.0)
        with self._change:
            if self._queue:
                reason = self.health.reason if self.health.is_broken else "they could not be sent in time"
                log.warning("%s: %d records were not sent before the end; %s", self.health.name, len(self._queue), reason)
                self.health.fails(reason, lost=len(self._queue))
                self._queue.clear()

    def _run(self) -> None:
        tries = 0
        while (record := self._next()) is not None:
            try:
                self._send(record)
            except UnsentError as error:
                self._note_unsent(record, error)
                if error.again:
                    self._pause(min(self._policy.backoff_last_s, self._policy.backoff_first_s * 2.0 ** min(tries, 20)))
                    tries += 1
                    continue
            else:
                self._note_sent(record)
            tries = 0
        self._sender.close()

    def _send(self, record: Record) -> None:
        try:
            self._sender.send(msgspec.json.encode(record), record)
        except UnsentError:
            raise
        except Exception as error:  # what nobody thought of costs this record, not the thread and all that come after
            raise UnsentError(f"{type(error).__name__}: {error}", again=False) from error

    def _next(self) -> Record | None:
        """The oldest record, which stays in the queue; None at the end."""
        while True:
            with self._change:
                if not self._queue and self._closing_at is None:
                    self._change.wait(IDLE_S)
                if self._closing_at is not None and (not self._queue or time.monotonic() > self._closing_at):
                    return None
                if self._queue:
                    return self._queue[0]
            self._sender.idle()

    def _pause(self, delay_s: float) -> None:
        """Wait for the next try; the end cuts it short."""
        until = time.monotonic() + delay_s
        with self._change:
            while self._closing_at is None and (rest := until - time.monotonic()) > 0:
                self._change.wait(rest)
        if self._closing_at is not None:
            time.sleep(min(delay_s, 0.05))

    def _note_sent(self, record: Record) -> None:
        with self._change:
            self._take_off(record)
            self.health.works()

    def _note_unsent(self, record: Record, error: UnsentError) -> None:
        with self._change:
            self.health.fails(error, lost=0 if error.again else self._take_off(record))

    def _take_off(self, record: Record) -> int:
        """How many records left the queue: none where this one had to make room meanwhile."""
        if not self._queue or self._queue[0] is not record:
            return 0
        self._queue.popleft()
        return 1
