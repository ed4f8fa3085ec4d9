"""Watches the sinks of an application and tells the supervisor which of them are broken, for as long as they are.

A sink that works costs nothing here: it is looked at only once it has said itself that it is broken.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from functools import partial

from contract.codec import utc_now
from edge_agent.sinks.sink import SinkHealth
from edge_agent.worker.messages import FromWorker, SinkSaid, SinkState
from edge_agent.worker.seldom_log import SeldomLog

LOOK_EVERY_S = 1.0
LASTING_LOOKS = 5
"""What lost nothing and is over sooner is not said; and a sink works again once nothing failed for so many looks."""


class SinkWatch:
    """The sinks of one application; for the event loop on which it is made."""

    def __init__(self, emit: Callable[[FromWorker], None]) -> None:
        self._emit = emit
        self._log = SeldomLog()
        self._watched: list[WatchedSink] = []

    def add(self, health: SinkHealth, advice: str) -> None:
        """Watch one more; `advice` says what to do while it is broken."""
        watched = WatchedSink(health, advice, partial(self._say, len(self._watched)))
        self._watched.append(watched)
        health.on_broken = partial(_call_soon, asyncio.get_running_loop(), watched.begin)

    def close(self) -> None:
        """The sinks are closed: say what was lost since they were looked at last, and look no more."""
        for watched in self._watched:
            watched.close()

    def _say(self, number: int, state: SinkState, lost: int) -> None:
        if lost:
            self._log.tell(state.name, lost, lambda amount: f"the sink {state.name} lost {amount} record(s): {state.reason}")
        self._emit(SinkSaid(os.getpid(), number, state))


class WatchedSink:
    """One sink, looked at every second from when it breaks until it has worked for some seconds."""

    def __init__(self, health: SinkHealth, advice: str, say: Callable[[SinkState, int], None]) -> None:
        """`say` hears what is new, and how many records were lost since it heard last."""
        self._health = health
        self._advice = advice
        self._say = say
        self._said: SinkState | None = None  # while it is said to be broken
        self._said_lost = self._seen_lost = 0
        self._since = ""
        self._looks = self._good_looks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    def begin(self) -> None:
        """It says that it is broken."""
        if self._timer is None and not self._is_closed:
            self._since, self._looks, self._good_looks = utc_now(), 0, 0
            self._look()

    def close(self) -> None:
        """Look once more, then never again."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._health.lost > self._said_lost:
            self._tell(self._state(self._since if self._timer is not None else utc_now()))

    def _look(self) -> None:
        self._timer = None
        if not self._is_good():
            if self._said is not None or self._health.lost > self._said_lost or self._looks >= LASTING_LOOKS:
                self._tell(self._state(self._since))
        elif self._good_looks >= LASTING_LOOKS:
            if self._said is not None:
                self._tell(self._state(""))
            return
        self._looks += 1
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _is_good(self) -> bool:
        """Whether the newest record was taken and none was lost since the last look; counts such looks in a row."""
        lost, self._seen_lost = self._health.lost - self._seen_lost, self._health.lost
        self._good_looks = 0 if lost or self._health.is_broken else self._good_looks + 1
        return self._good_looks > 0

    def _state(self, since: str) -> SinkState:
        health = self._health
        counts = (health.offered, health.lost, health.refused, len(health.queue))
        return SinkState(health.name, health.reason if since else "", since, *counts, self._advice if since else "")

    def _tell(self, state: SinkState) -> None:
        if state == self._said:
            return
        self._said = state if state.reason else None
        lost, self._said_lost = state.lost - self._said_lost, state.lost
        self._say(state, lost)


def _call_soon(loop: asyncio.AbstractEventLoop, begin: Callable[[], None]) -> None:
    """From any thread, at any time."""
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(begin)
