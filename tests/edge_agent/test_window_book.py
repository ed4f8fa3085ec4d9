"""Windows: what the worker measured, added up for the fleet."""

import pytest

from contract.messages import VersionRef
from contract.reference import Reference
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from edge_agent.update.records import Installed
from edge_agent.window_book import HISTORY_S, Purpose, WindowBook
from edge_agent.worker.messages import WindowStats

INSTALLED = Installed(VersionRef("digits", 1, "a" * 64), "onnx-float32")


def stats(latencies: list[float], errors: int = 0, score: float = 0.9) -> WindowStats:
    count = len(latencies)
    confidence = Histogram.of(CONFIDENCE_BOUNDS, [score] * count)
    return WindowStats(
        0, "2026-01-01T00:00:00.000Z", 1.0, count, Histogram.of(LATENCY_BOUNDS_US, latencies), confidence, {"red": count}, errors
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def book(clock: Clock, reference: Reference | None = None) -> WindowBook:
    return WindowBook("main", INSTALLED, reference, clock=clock)


def test_several_reports_of_a_worker_become_one_window() -> None:
    measured = book(Clock())
    measured.purpose = Purpose("r1", "control")
    measured.add(stats([100.0, 200.0]))
    measured.add(stats([300.0], errors=2))
    window = measured.take("boot", 7)
    assert window is not None
    assert (window.count, window.errors, window.class_counts, window.latency_us.total) == (3, 2, {"red": 3}, 600.0)
    assert (window.index, window.rollout, window.arm, window.variant, window.duration_s) == (7, "r1", "control", "onnx-float32", 2.0)
    assert measured.take("boot", 8) is None


def test_the_baseline_forgets_what_is_older_than_ten_minutes_and_the_total_does_not() -> None:
    clock = Clock()
    measured = book(clock)
    measured.add(stats([100.0] * 5))
    clock.now = HISTORY_S + 1
    measured.add(stats([200.0] * 3))
    assert measured.recent_latency().count == 3
    assert measured.total.latency_us.count == 8


@pytest.mark.parametrize(("score", "state"), [(0.97, "ok"), (0.2, "drifting")])
def test_drift_is_measured_on_the_whole_window(score: float, state: str) -> None:
    reference = Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.97] * 100), {"red": 100}, 100, 0.3, 10)
    measured = book(Clock(), reference)
    for _ in range(3):
        measured.add(stats([100.0] * 5, score=score))
    window = measured.take("boot", 0)
    assert window is not None
    assert window.drift is not None
    assert window.drift.state == state
