"""Counts what a model does, window by window, for a few microseconds per inference."""

import bisect
import math
from collections import deque
from typing import NamedTuple

from contract.codec import utc_now
from contract.messages import Drift
from contract.reference import Reference, measure_drift
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram, merge
from edge_agent.engine.engine import Prediction
from edge_agent.worker.messages import WindowStats

RECENT_WINDOWS = 6
"""How many windows are kept for the status page."""


class Totals(NamedTuple):
    """What happened since the start, over all windows. `classes` are in the order of the labels."""

    latency_us: Histogram
    classes: list[int]
    errors: int
    dropped: int
    deadline_misses: int


class WindowRecorder:
    """The window under way. `completed` counts inferences since the start and never falls."""

    def __init__(self, labels: tuple[str, ...], reference: Reference | None, now_s: float) -> None:
        self.completed = 0
        self._labels = labels
        self._reference = reference
        self._index = -1
        self._closed: deque[WindowStats] = deque(maxlen=RECENT_WINDOWS)
        self._before = Totals(Histogram.empty(LATENCY_BOUNDS_US), [0] * len(labels), 0, 0, 0)
        self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        self._index += 1
        self._begun_s = now_s
        self._begun_at = utc_now()
        self._latency = Histogram.empty(LATENCY_BOUNDS_US)
        self._confidence = Histogram.empty(CONFIDENCE_BOUNDS)
        self._classes = [0] * len(self._labels)
        self._errors = self._dropped = self._missed = 0

    def record(self, prediction: Prediction) -> None:
        """Count one answer; one whose score is no number counts as an inference that failed."""
        if not math.isfinite(prediction.score):
            self._errors += 1
            return
        latency, confidence = self._latency, self._confidence
        latency.counts[bisect.bisect_left(LATENCY_BOUNDS_US, prediction.latency_us)] += 1
        latency.total += prediction.latency_us
        confidence.counts[bisect.bisect_left(CONFIDENCE_BOUNDS, prediction.score)] += 1
        confidence.total += prediction.score
        self._classes[prediction.index] += 1
        self.completed += 1

    def record_error(self) -> None:
        """Count an inference that failed."""
        self._errors += 1

    def record_drop(self) -> None:
        """Count a sample that never reached the model."""
        self._dropped += 1

    def record_deadline_miss(self) -> None:
        """Count an answer that came too late."""
        self._missed += 1

    def close(self, now_s: float) -> WindowStats | None:
        """End the window and begin the next; None if nothing happened in it."""
        stats = self._stats_if_any(now_s)
        if stats is not None:
            self._closed.append(stats)
        self._before = self.totals()
        self._begin(now_s)
        return stats

    def recent(self, now_s: float) -> list[WindowStats]:
        """The window under way and the last ones before it, the newest first, without those in which nothing happened."""
        now = self._stats_if_any(now_s)
        return [*([now] if now is not None else []), *reversed(self._closed)]

    def totals(self) -> Totals:
        """All windows so far, with the one under way."""
        before = self._before
        return Totals(
            merge(before.latency_us, self._latency),
            [a + b for a, b in zip(before.classes, self._classes, strict=True)],
            before.errors + self._errors,
            before.dropped + self._dropped,
            before.deadline_misses + self._missed,
        )

    def _stats_if_any(self, now_s: float) -> WindowStats | None:
        count = self._latency.count
        happened = count or self._errors or self._dropped or self._missed
        return self._stats(count, now_s) if happened else None

    def _stats(self, count: int, now_s: float) -> WindowStats:
        classes = {label: number for label, number in zip(self._labels, self._classes, strict=True) if number}
        return WindowStats(
            index=self._index,
            started_at=self._begun_at,
            duration_s=round(now_s - self._begun_s, 3),
            count=count,
            latency_us=self._latency,
            confidence=self._confidence,
            class_counts=classes,
            errors=self._errors,
            dropped=self._dropped,
            deadline_misses=self._missed,
            drift=self._drift(classes),
        )

    def _drift(self, classes: dict[str, int]) -> Drift | None:
        return None if self._reference is None else measure_drift(self._reference, self._confidence, classes)
