"""Histograms that merge by addition, the same on device, server and desk."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram, merge, merge_counts

VALUES = st.lists(st.floats(10, 9e7), max_size=30)
SHARES = st.floats(0, 1)


def sketch(values):
    return Histogram.of(LATENCY_BOUNDS_US, values)


@given(VALUES, VALUES, VALUES)
@settings(max_examples=60)
def test_merging_is_associative_commutative_and_the_same_as_adding_all(first, second, third):
    left = merge(merge(sketch(first), sketch(second)), sketch(third))
    right = merge(sketch(first), merge(sketch(third), sketch(second)))
    whole = sketch([*first, *second, *third])
    assert left.counts == right.counts == whole.counts
    assert math.isclose(left.total, whole.total, rel_tol=1e-9)
    assert merge(left, Histogram.empty(LATENCY_BOUNDS_US)).counts == left.counts


@given(VALUES.filter(bool), SHARES)
@settings(max_examples=100)
def test_a_quantile_is_at_most_a_quarter_above_the_true_one(values, share):
    ordered = sorted(values)
    true = ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    found = sketch(values).quantile(share)
    assert true <= found <= true * 1.2501 + 0.01


@given(st.lists(st.floats(0, 1), max_size=30))
@settings(max_examples=50)
def test_every_value_is_counted_once_and_the_mean_is_exact(values):
    histogram = Histogram.of(CONFIDENCE_BOUNDS, values)
    assert histogram.count == len(values)
    if values:
        assert math.isclose(histogram.mean, sum(values) / len(values), abs_tol=1e-9)
    else:
        assert histogram.mean is histogram.quantile(0.5) is None


def test_a_value_on_a_bound_belongs_below_it_and_one_above_all_to_the_last_bin():
    histogram = Histogram.of((1.0, 2.0), [1.0, 1.5, 2.0, 9.0])
    assert histogram.counts == [1, 2, 1]
    assert histogram.quantile(1.0) == 2.0  # at least that


def test_other_bounds_can_not_be_merged():
    with pytest.raises(FormatError, match="bounds"):
        merge(Histogram.empty((1.0,)), Histogram.empty((2.0,)))
    broken = Histogram((1.0,), [1, 2, 3])
    with pytest.raises(FormatError):
        merge(Histogram.empty((1.0,)), broken)


def test_counts_by_name_add_up():
    assert merge_counts({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {"a": 1, "b": 5, "c": 4}
