import time

import numpy as np
import pytest

from contract.application import Rule
from contract.reference import Reference
from contract.sketches import CONFIDENCE_BOUNDS, Histogram
from edge_agent.engine.engine import Prediction
from edge_agent.worker.rules import RuleState
from edge_agent.worker.windows import WindowRecorder

LABELS = ("cat", "dog")


def prediction(label: int, score: float, latency_us: float = 100.0) -> Prediction:
    return Prediction(LABELS[label], label, score, np.array([score, 1 - score], np.float32), {}, latency_us)


def fired_at(rule: Rule, steps: list[tuple[float, str, float]]) -> list[float]:
    state = RuleState(rule)
    return [now for now, label, score in steps if state.take(label, score, now) is not None]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(), [0, 1, 2, 3, 9]),
        (Rule(label="cat"), [0, 2, 3, 9]),
        (Rule(label="cat", minimum_score=0.8), [0, 3]),
        (Rule(label="cat", count=2), [2, 9]),
        (Rule(label="cat", count=2, within_s=1), [3]),
        (Rule(label="cat", count=3, within_s=3), [3]),
        (Rule(label="bird"), []),
    ],
)
def test_a_rule_fires_when_it_was_met_often_enough_in_time(rule: Rule, expected: list[float]) -> None:
    assert fired_at(rule, [(0, "cat", 0.9), (1, "dog", 0.9), (2, "cat", 0.5), (3, "cat", 0.8), (9, "cat", 0.7)]) == expected


def test_a_window_counts_what_happened_and_the_next_begins_empty() -> None:
    recorder = WindowRecorder(LABELS, None, 10.0)
    for label, score in ((0, 0.9), (0, 0.55), (1, 1.0)):
        recorder.record(prediction(label, score))
    recorder.record_error()
    recorder.record_drop()
    recorder.record_deadline_miss()
    stats = recorder.close(12.5)
    assert stats is not None
    assert (stats.index, stats.duration_s, stats.count) == (0, 2.5, 3)
    assert (stats.errors, stats.dropped, stats.deadline_misses) == (1, 1, 1)
    assert stats.class_counts == {"cat": 2, "dog": 1}
    assert stats.confidence == Histogram.of(CONFIDENCE_BOUNDS, [0.9, 0.55, 1.0])
    assert stats.latency_us.quantile(0.5) == pytest.approx(100, rel=0.25)
    assert recorder.close(13.0) is None
    recorder.record(prediction(1, 0.7))
    later = recorder.close(14.0)
    assert later is not None
    assert (later.index, later.count, recorder.completed) == (2, 1, 4)


def test_drift_is_told_against_the_reference() -> None:
    reference = Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.97] * 80), {"cat": 40, "dog": 40}, 80, 0.3, 20)
    recorder = WindowRecorder(LABELS, reference, 0.0)
    for index in range(40):
        recorder.record(prediction(index % 2, 0.97))
    same = recorder.close(1.0)
    for _ in range(40):
        recorder.record(prediction(0, 0.4))
    other = recorder.close(2.0)
    assert same is not None and same.drift is not None and same.drift.state == "ok"  # noqa: PT018  (narrows the types)
    assert other is not None and other.drift is not None and other.drift.state == "drifting"  # noqa: PT018


def test_counting_costs_little() -> None:
    recorder = WindowRecorder(LABELS, None, 0.0)
    answer = prediction(0, 0.9)
    best = min(_time_of(recorder, answer) for _ in range(5))
    assert best < 10e-6


def _time_of(recorder: WindowRecorder, answer: Prediction) -> float:
    begun = time.perf_counter()
    for _ in range(500):
        recorder.record(answer)
    return (time.perf_counter() - begun) / 500
