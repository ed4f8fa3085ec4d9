import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.parity import accuracy, compare, recall_by_class, tolerance

REFERENCE = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], np.float32)
OTHER = np.array([[0.8, 0.2], [0.55, 0.45], [0.2, 0.8]], np.float32)


def test_flipped_samples_are_named():
    found = compare(REFERENCE, OTHER)
    assert found.flipped == (1,)
    assert found.agreement == pytest.approx(2 / 3)
    assert found.difference == pytest.approx(0.15, abs=1e-6)


def test_a_variant_agrees_with_itself():
    assert compare(REFERENCE, REFERENCE) == compare(REFERENCE.copy(), REFERENCE)
    assert compare(REFERENCE, REFERENCE).agreement == 1.0


def test_accuracy_and_recall_by_class():
    assert accuracy(REFERENCE, [0, 0, 1]) == pytest.approx(2 / 3)
    assert recall_by_class(REFERENCE, [0, 0, 1], ["a", "b"]) == {"a": 0.5, "b": 1.0}
    assert recall_by_class(REFERENCE, [0, 0, 0], ["a", "b"]) == {"a": pytest.approx(1 / 3)}


@given(st.floats(min_value=0, max_value=1))
def test_a_tolerance_is_never_tighter_than_what_was_measured_nor_without_bound(difference):
    assert tolerance("float32", difference) == 1e-4
    assert 0.02 <= tolerance("int8", difference) <= 0.5
    assert tolerance("int8", difference) >= min(difference, 0.5) - 1e-9
    assert tolerance("float16", difference) >= 5e-3
