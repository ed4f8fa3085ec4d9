import time

import numpy as np
import pytest

from contract.application import Rule
from contract.reference import Reference
from contract.sketches import CONFIDENCE_BOUNDS, Histogram
from edge_agent.engine.engine import Prediction
from edge_agent.worker.messages import decode_from_worker, encode_line
from edge_agent.worker.rules import RuleState
from edge_agent.worker.windows import WindowRecorder

LABELS = ("cat", "dog")


def prediction(label: int, score: float, latency_us: float = 100.0, *, accepted: bool = True) -> Prediction:
    scores = np.array([score, 1 - score] if label == 0 else [1 - score, score], np.float32)
    return Prediction(LABELS[label], label, score, scores, {}, latency_us, accepted)


def fired_at(rule: Rule, steps: list[tuple[float, str, float]]) -> list[float]:
    state = RuleState(rule, LABELS)
    return [now for now, label, score in steps if state.take(prediction(LABELS.index(label), score), now) is not None]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(), [0, 1, 2, 3, 9]),
        (Rule(label="cat"), [0, 2, 3, 9]),
        (Rule(label="cat", minimum_score=0.8), [0, 3]),
        (Rule(label="cat", count=2), [2, 9]),
        (Rule(label="cat", count=2, within_s=1), [3]),
        (Rule(label="cat", count=3, within_s=3), [3]),
        (Rule(cool_down_s=2), [0, 2, 9]),
        (Rule(label="cat", count=2, cool_down_s=7), [2]),
    ],
)
def test_a_rule_fires_when_it_was_met_often_enough_in_time(rule: Rule, expected: list[float]) -> None:
    assert fired_at(rule, [(0, "cat", 0.9), (1, "dog", 0.9), (2, "cat", 0.5), (3, "cat", 0.8), (9, "cat", 0.7)]) == expected


CATS = [(0.1 * step, "cat", 0.9) for step in range(100)]


def near(*moments: float) -> list[object]:
    return [pytest.approx(moment) for moment in moments]


def test_count_above_three_within_five_seconds() -> None:
    rule = Rule(label="cat", count=4, within_s=5)
    assert fired_at(rule, [(second, "cat", 0.9) for second in (0, 2, 4, 6, 7, 8)]) == [7]
    assert fired_at(rule, [(second, "cat", 0.9) for second in (0, 2, 4, 8, 10, 16)]) == []


def test_a_rule_that_must_hold_is_broken_by_one_other_answer() -> None:
    rule = Rule(label="cat", minimum_score=0.8, hold_s=2)
    assert fired_at(rule, CATS) == near(2.0, 4.1, 6.2, 8.3)
    broken = [step if index != 15 else (step[0], "dog", 0.9) for index, step in enumerate(CATS[:35])]
    assert fired_at(rule, broken) == []
    assert fired_at(rule, [*broken, *CATS[35:40]]) == near(3.6)
    weak = [step if index != 15 else (step[0], "cat", 0.7) for index, step in enumerate(CATS[:35])]
    assert fired_at(rule, weak) == []


def test_what_is_not_accepted_breaks_a_rule_that_must_hold_and_never_fires_one() -> None:
    state = RuleState(Rule(hold_s=1), LABELS)
    moments = [now for now, _, _ in CATS[:16] if state.take(prediction(0, 0.9, accepted=round(now, 1) != 0.5), now)]
    assert moments == []
    assert RuleState(Rule(), LABELS).take(prediction(0, 0.9, accepted=False), 0) is None


def test_a_gap_in_the_samples_is_no_holding() -> None:
    assert fired_at(Rule(label="cat", hold_s=2), [(0, "cat", 0.9), (60, "cat", 0.9), (61, "cat", 0.9)]) == []


def test_hysteresis_fires_again_only_after_the_score_has_fallen() -> None:
    rule = Rule(label="cat", minimum_score=0.8, release_score=0.4)
    scores = [0.9, 0.7, 0.9, 0.5, 0.85, 0.3, 0.79, 0.9]
    assert fired_at(rule, [(now, "cat", score) for now, score in enumerate(scores)]) == [0, 7]
    assert fired_at(rule, [(0, "cat", 0.9), (1, "dog", 0.55), (2, "cat", 0.9), (3, "dog", 0.7), (4, "cat", 0.9)]) == [0, 4]


def test_the_words_of_a_firing() -> None:
    state = RuleState(Rule(label="cat", minimum_score=0.8, hold_s=1), LABELS)
    (firing,) = [firing for now, _, _ in CATS[:12] if (firing := state.take(prediction(0, 0.9), now))]
    assert firing.text == "cat at 0.8 or more, for 1.0 s"
    with pytest.raises(ValueError, match="not in tuple"):
        RuleState(Rule(label="bird"), LABELS)


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


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_a_failed_inference_and_spoils_no_window(score: float) -> None:
    recorder = WindowRecorder(LABELS, None, 0.0)
    recorder.record(prediction(0, score))
    recorder.record(prediction(1, 0.75))
    stats = recorder.close(1.0)
    assert stats is not None
    assert (stats.count, stats.errors, stats.class_counts, stats.confidence.total) == (1, 1, {"dog": 1}, 0.75)
    assert decode_from_worker(encode_line(stats)) == stats


def test_windows_of_misses_and_drops_alone_are_told_too() -> None:
    recorder = WindowRecorder(LABELS, None, 0.0)
    recorder.record_deadline_miss()
    missed = recorder.close(1.0)
    recorder.record_drop()
    dropped = recorder.close(2.0)
    assert missed is not None and dropped is not None  # noqa: PT018  (narrows the types)
    assert [(stats.count, stats.deadline_misses, stats.dropped) for stats in (missed, dropped)] == [(0, 1, 0), (0, 0, 1)]


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
