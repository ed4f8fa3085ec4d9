"""What the workers measured, added up into the windows that the fleet gets, and kept as baseline."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from contract.codec import decode
from contract.errors import ContractError
from contract.files import read_bounded
from contract.messages import Drift, Window
from contract.reference import REFERENCE_MAX_BYTES, Reference, measure_drift
from contract.sketches import LATENCY_BOUNDS_US, Histogram, merge, merge_counts
from edge_agent.sink_book import SinkBook
from edge_agent.update.records import Installed
from edge_agent.worker.messages import WindowStats

HISTORY_S = 600.0
LAST_WORDS_S = 120.0


class Purpose(NamedTuple):
    """On whose behalf a version runs."""

    rollout: str = ""
    arm: str = ""


class Tally(NamedTuple):
    """Sums since the version began to serve; errors have no latency."""

    latency_us: Histogram
    errors: int


class WindowBook:
    """The windows of one version in one slot."""

    def __init__(
        self, slot: str, installed: Installed, reference: Reference | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.slot = slot
        self.installed = installed
        self.purpose = Purpose()
        self.sinks = SinkBook()
        self._reference = reference
        self._clock = clock
        self._begun = clock()
        self.pending: WindowStats | None = None
        self._history: deque[tuple[float, WindowStats]] = deque()
        self.total = Tally(Histogram.empty(LATENCY_BOUNDS_US), 0)

    def add(self, stats: WindowStats) -> None:
        """Take what a worker measured since its last message."""
        self.pending = stats if self.pending is None else _add(self.pending, stats)
        if stats.latency_us.bounds == LATENCY_BOUNDS_US:
            self.total = Tally(merge(self.total.latency_us, stats.latency_us), self.total.errors + stats.errors)
        now = self._clock()
        self._history.append((now, stats))
        while self._history and self._history[0][0] < now - HISTORY_S:
            self._history.popleft()

    def recent_latency(self) -> Histogram:
        """Latencies of the last ten minutes, in microseconds."""
        latency = Histogram.empty(LATENCY_BOUNDS_US)
        for _, stats in self._history:
            if stats.latency_us.bounds == latency.bounds:
                latency = merge(latency, stats.latency_us)
        return latency

    def is_over(self) -> bool:
        """Whether nothing came for a while, so that a version that ended has said its last."""
        last = self._history[-1][0] if self._history else self._begun
        return self.pending is None and last < self._clock() - LAST_WORDS_S

    def take(self, boot_id: str, index: int) -> Window | None:
        """The window so far, and begin another; None where nothing was measured."""
        stats, self.pending = self.pending, None
        if stats is None:
            return None
        application = self.installed.application
        return Window(
            schema_version=Window.SCHEMA_VERSION,
            stream="",
            sequence=1,
            boot_id=boot_id,
            index=index,
            slot=self.slot,
            target=self.installed.model,
            variant=self.installed.variant,
            started_at=stats.started_at,
            duration_s=stats.duration_s,
            count=stats.count,
            latency_us=stats.latency_us,
            confidence=stats.confidence,
            class_counts=stats.class_counts,
            errors=stats.errors,
            dropped=stats.dropped,
            deadline_misses=stats.deadline_misses,
            rollout=self.purpose.rollout,
            arm=self.purpose.arm,
            application=f"{application.name}" if application else "",
            drift=self._drift(stats),
        )

    def _drift(self, stats: WindowStats) -> Drift | None:
        if self._reference is None:
            return stats.drift
        return measure_drift(self._reference, stats.confidence, stats.class_counts)


def _add(first: WindowStats, second: WindowStats) -> WindowStats:
    return WindowStats(
        index=first.index,
        started_at=first.started_at,
        duration_s=first.duration_s + second.duration_s,
        count=first.count + second.count,
        latency_us=merge(first.latency_us, second.latency_us),
        confidence=merge(first.confidence, second.confidence),
        class_counts=merge_counts(first.class_counts, second.class_counts),
        errors=first.errors + second.errors,
        dropped=first.dropped + second.dropped,
        deadline_misses=first.deadline_misses + second.deadline_misses,
    )


def load_reference(path: Path) -> Reference | None:
    """The reference of an installed version; None where it has none that this agent reads."""
    try:
        return decode(read_bounded(path, REFERENCE_MAX_BYTES), Reference, "the reference", REFERENCE_MAX_BYTES)
    except (OSError, ContractError):
        return None
