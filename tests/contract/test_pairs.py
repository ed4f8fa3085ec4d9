"""Paired results in words: what was seen, and nothing more."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.pairs import DISAGREEMENTS_LISTED, Disagreement, PairedResult, describe_pairs, list_disagreements

SEVEN_ONE, ONE_SEVEN = Disagreement("7", "1", 21), Disagreement("1", "7", 1)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (PairedResult(1204, 37, (SEVEN_ONE, ONE_SEVEN)), "disagreed on 3.1 % of 1,204 pairs: 7→1 21 times, 1→7 once, others 15 times"),
        (PairedResult(1204, 21, (SEVEN_ONE,)), "disagreed on 1.7 % of 1,204 pairs: 7→1 21 times"),
        (PairedResult(1), "disagreed on 0.0 % of 1 pair"),
        (PairedResult(50, errors=1, dropped=1200), "disagreed on 0.0 % of 50 pairs; no answer to 1 sample; 1,200 dropped"),
        (PairedResult(errors=2), "no pair of answers came (2 errors, 0 dropped)"),
        (PairedResult(), "no pair of answers came"),
        (PairedResult(skipped="the model stays the same"), "no shadow run: the model stays the same"),
    ],
)
def test_words(result: PairedResult, words: str) -> None:
    assert describe_pairs(result) == words
    assert "accura" not in words


LABELS = st.sampled_from("abcdef")


@given(st.dictionaries(st.tuples(LABELS, LABELS), st.integers(1, 9)))
def test_the_most_frequent_are_listed_in_an_order_that_depends_on_nothing_else(counts: dict[tuple[str, str], int]) -> None:
    found = [Disagreement(*labels, count) for labels, count in counts.items()]
    listed = list_disagreements(found)
    assert listed == list_disagreements(reversed(found))
    assert len(listed) == min(len(found), DISAGREEMENTS_LISTED)
    assert all(first.count >= second.count for first, second in itertools.pairwise(listed))
    left = [one.count for one in found if one not in listed]
    assert not left or max(left) <= listed[-1].count
