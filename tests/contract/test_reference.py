import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.codec import decode, encode
from contract.reference import Reference, drift_score, jensen_shannon, measure_drift
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram

counts = st.lists(st.integers(min_value=0, max_value=10_000), min_size=4, max_size=4)


def reference(**fields) -> Reference:
    confidence = Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 60 + [0.5] * 40)
    return Reference(1, confidence, {"cat": 50, "dog": 50}, sample_count=100, **fields)


@given(counts, counts)
def test_the_distance_is_symmetric_and_within_0_and_1(first, second):
    distance = jensen_shannon(first, second)
    assert 0 <= distance <= 1
    assert math.isclose(distance, jensen_shannon(second, first), abs_tol=1e-9)


@given(counts, st.integers(min_value=1, max_value=50))
def test_proportional_counts_have_no_distance(first, factor):
    assert jensen_shannon(first, [factor * count for count in first]) < 1e-6


def test_disjoint_counts_are_as_far_as_can_be():
    assert jensen_shannon([5, 0], [0, 9]) == 1.0


def test_a_known_value():
    # p = (1, 0), q = (1/2, 1/2), middle = (3/4, 1/4): (log2(4/3) + 1/2 log2(2/3) + 1/2 log2 2) / 2
    assert math.isclose(jensen_shannon([1, 0], [1, 1]), math.sqrt((math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5) / 2))


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError):
        jensen_shannon([1, 2], [1, 2, 3])


def test_a_window_like_the_reference_is_ok():
    window = Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 36 + [0.5] * 24)
    drift = measure_drift(reference(), window, {"cat": 31, "dog": 29})
    assert (drift.state, drift.limit) == ("ok", 0.2)


def test_a_window_with_one_class_only_drifts():
    window = Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 36 + [0.5] * 24)
    assert measure_drift(reference(), window, {"cat": 60}).state == "drifting"


def test_a_class_that_the_reference_never_answered_counts():
    window = Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 36 + [0.5] * 24)
    assert drift_score(reference(), window, {"bird": 60}) == 1.0


def test_few_answers_give_no_verdict():
    assert measure_drift(reference(), Histogram.of(CONFIDENCE_BOUNDS, [0.1] * 49), {"cat": 49}).state == "too_few"


def test_other_bounds_are_not_compared():
    window = Histogram.of(LATENCY_BOUNDS_US, [100.0] * 60)
    assert drift_score(reference(), window, {"cat": 30, "dog": 30}) == 0.0


def test_it_survives_the_wire():
    before = reference(drift_limit=0.31, minimum_count=80)
    assert decode(encode(before), Reference, "reference.json") == before
