"""What feeds `systemd`'s watchdog: work that was completed, or where there was none a golden sample through the worker.

The ladder: a worker that crashes or hangs is replaced by its keeper; only where no slot's keeper does
that any more, or a worker answers and yet completes nothing, the watchdog goes hungry and `systemd` starts the
whole agent anew. A model that can not live is no reason for that: its keeper goes on trying, and the
agent must stay up to fetch a better one.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from edge_agent import systemd

log = logging.getLogger(__name__)


class Watched(Protocol):
    """What is asked of a slot's `WorkerKeeper`."""

    @property
    def wants_to_serve(self) -> bool:
        """Whether anything should serve here."""

    @property
    def is_answering(self) -> bool:
        """Whether a ready worker runs."""

    @property
    def is_cared_for(self) -> bool:
        """Whether someone looks after the worker, or is about to start another."""

    @property
    def completed(self) -> int:
        """Inferences so far; it never falls."""

    async def probe(self, timeout_s: float) -> str:
        """One golden sample through the worker; returns what was wrong, empty where it was answered rightly."""


class Watchdog:
    """Feeds the watchdog every `interval_s` while every slot shows life."""

    def __init__(
        self, keepers: Callable[[], Iterable[Watched]], interval_s: float, notify: Callable[[str], object] = systemd.notify
    ) -> None:
        self._keepers = keepers
        self._interval_s = interval_s
        self._notify = notify
        self._seen: dict[int, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval_s)

    async def look(self) -> bool:
        """Feed once if all slots show life; says whether they do."""
        troubles = [trouble for keeper in list(self._keepers()) if (trouble := await self._find_trouble(keeper))]
        if troubles:
            log.error("The watchdog is not fed: %s", "; ".join(troubles))
            return False
        self._notify("WATCHDOG=1")
        return True

    async def _find_trouble(self, keeper: Watched) -> str:
        if not keeper.wants_to_serve:
            return ""
        if not keeper.is_cared_for:
            return "nobody looks after a slot's worker"
        if not keeper.is_answering:  # its keeper is starting another
            return ""
        before = self._seen.get(id(keeper))
        trouble = "" if before is not None and keeper.completed > before else await keeper.probe(self._interval_s / 2)
        self._seen[id(keeper)] = keeper.completed
        return trouble
