"""What the sinks of one version in one slot said last: for the status, for the fleet and for probation."""

import time
from collections.abc import Callable
from typing import NamedTuple

from edge_agent.worker.messages import SinkSaid, SinkState

TELL_AGAIN_S = 3600.0
LATELY_S = 600.0


class Refused(NamedTuple):
    """Records at which the owner's function failed, of all that were meant for that sink; `reason` in words."""

    records: int = 0
    offered: int = 0
    reason: str = ""


class SinkBook:
    """Each sink by its place in the document. What a worker said that answers no more counts for nothing."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[int, SinkSaid] = {}
        self._silent_until_s: dict[int, float] = {}
        self._told_broken: set[int] = set()
        self._reasons: dict[int, str] = {}
        self._refused_s = float("-inf")

    def hear(self, said: SinkSaid) -> str:
        """Take what a worker said; returns what the fleet is to hear: a loss once an hour at most, and that it is over."""
        number, state, now_s = said.number, said.state, self._clock()
        before = self._said.get(number)
        known = before.state if before is not None and before.pid == said.pid else SinkState(state.name)
        self._said[number] = said
        self._reasons[number] = state.reason or self._reasons.get(number, "")
        if state.refused > known.refused:
            self._refused_s = now_s
        if state.reason and state.lost > known.lost and now_s >= self._silent_until_s.get(number, now_s):
            self._silent_until_s[number] = now_s + TELL_AGAIN_S
            self._told_broken.add(number)
            return f"records are lost: the sink {state.name}: {state.reason} ({state.lost} of {state.offered} so far)"
        if not state.reason and number in self._told_broken:
            self._told_broken.discard(number)
            return f"the sink {state.name} works again; {state.lost} of {state.offered} records were lost"
        return ""

    def states(self, pid: int | None) -> tuple[SinkState, ...]:
        """The sinks that are or were broken in the worker `pid`."""
        return tuple(said.state for _, said in sorted(self._said.items()) if said.pid == pid)

    def refused(self, pid: int | None) -> Refused:
        """Of the sinks of the worker `pid`, the one that refused the largest share."""
        found = [
            Refused(said.state.refused, said.state.offered, f"{said.state.name}: {self._reasons[number]}")
            for number, said in self._said.items()
            if said.pid == pid
        ]
        return max(found, key=lambda one: one.records / max(1, one.offered), default=Refused())

    def refused_lately(self) -> bool:
        """Whether a record was refused within ten minutes."""
        return self._clock() - self._refused_s < LATELY_S
