"""How long the workers of a slot lived, how they ended, and how long to wait before another is started."""

import time
from collections import deque

from edge_agent.update.records import Installed

CRASH_MEMORY_S = 600.0
SHORT_LIFE_S, SHORT_LIFE_STARTS = 2.0, 4.0
"""A worker that lived for less, or for less than four times what its start took, had a short life; two of them in a row
are no reason to wait, more are: starting again and again costs more than it serves."""
SHORT_LIVES_FREE = 2
RESTART_FIRST_S, RESTART_LAST_S = 0.5, 30.0


class WorkerLives:
    """`last_crash` is what was said of the last worker that ended by itself or hung."""

    def __init__(self) -> None:
        self.last_crash = ""
        self.start_took_s = 0.0
        self._crashes: deque[tuple[float, Installed]] = deque()
        self._short = 0
        self._ready_s = 0.0

    def crashes(self, installed: Installed | None = None, since: float = 0.0) -> int:
        """How often workers (of one version) ended by themselves within ten minutes and since `since`."""
        begin = max(since, time.monotonic() - CRASH_MEMORY_S)
        return sum(moment >= begin and installed in {None, which} for moment, which in self._crashes)

    def began(self) -> None:
        """A worker is ready."""
        self._ready_s = time.monotonic()

    def ended(self, installed: Installed, cause: str) -> None:
        """A worker that was ready ended by itself, or hung."""
        lived_s = time.monotonic() - self._ready_s
        self._short = self._short + 1 if lived_s < max(SHORT_LIFE_S, SHORT_LIFE_STARTS * self.start_took_s) else 0
        self._note(installed, cause)

    def did_not_begin(self, installed: Installed, cause: str) -> None:
        """A worker did not get ready."""
        self._short += 1
        self._note(installed, cause)

    @property
    def wait_s(self) -> float:
        """How long to wait before the next start: not at all, or ever longer where one after the other ends."""
        again = self._short - SHORT_LIVES_FREE - 1
        return 0.0 if again < 0 else min(RESTART_LAST_S, RESTART_FIRST_S * 2.0 ** min(again, 10))

    def _note(self, installed: Installed, cause: str) -> None:
        now = time.monotonic()
        self._crashes.append((now, installed))
        while self._crashes and self._crashes[0][0] < now - CRASH_MEMORY_S:
            self._crashes.popleft()
        self.last_crash = cause
