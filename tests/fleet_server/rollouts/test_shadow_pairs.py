"""What shadow runs say together, with blocks of time on devices as the unit."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.pairs import Disagreement, PairedBlock, PairedResult
from fleet_server.rollouts.shadow_pairs import BLOCKS_LEAST, summarize


def device(*blocks: tuple[int, int], skipped: str = "") -> PairedResult:
    wrong = sum(block[1] for block in blocks)
    disagreed = (Disagreement("7", "1", wrong),) if wrong else ()
    parts = tuple(PairedBlock(*block) for block in blocks)
    return PairedResult(sum(block[0] for block in blocks), wrong, disagreed, block_s=30.0, blocks=parts, skipped=skipped)


def test_nothing_said_is_no_view() -> None:
    assert summarize([]) is None


def test_devices_are_added_up_in_words_that_promise_nothing_more() -> None:
    view = summarize([device(*[(50, 2)] * 6), device(*[(50, 1)] * 6), device(skipped="the model stays the same")])
    assert view is not None
    assert (view.devices, view.skipped, view.pairs, view.disagreements) == (2, 1, 600, 18)
    assert view.text == ("in the shadow on 2 devices: disagreed on 3.0 % of 600 pairs: 7→1 18 times (95 %: 2.3 to 3.7 %); none on 1 device")


def test_where_no_device_had_a_shadow_run_the_reason_is_said() -> None:
    view = summarize([device(skipped="no inference came within 600 s")] * 3)
    assert view is not None
    assert view.text == "no shadow run on 3 devices: no inference came within 600 s"


def test_with_few_blocks_nothing_is_said_of_how_sure_the_share_is() -> None:
    view = summarize([device(*[(50, 2)] * (BLOCKS_LEAST - 1), (0, 0))])
    assert view is not None
    assert (view.low, view.high) == (None, None)
    assert "95 %" not in view.text


@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), max_size=15), min_size=1, max_size=6))
def test_the_share_lies_within_its_interval_and_both_within_bounds(devices: list[list[tuple[int, float]]]) -> None:
    view = summarize([device(*[(pairs, round(pairs * share)) for pairs, share in blocks]) for blocks in devices])
    assert view is not None
    if view.low is not None and view.high is not None:
        assert 0 <= view.low <= view.disagreements / view.pairs <= view.high <= 1


@pytest.mark.parametrize("clustered", [False, True])
def test_the_interval_holds_the_truth_as_often_as_it_says_even_where_disagreements_come_in_bursts(clustered: bool) -> None:
    chance, truth, held, rounds = random.Random(7), 0.1, 0, 400
    for _ in range(rounds):
        blocks = []
        for _ in range(40):
            share = chance.choice([0.0, 2 * truth]) if clustered else truth
            blocks.append((50, sum(chance.random() < share for _ in range(50))))
        view = summarize([device(*blocks)])
        assert view is not None
        assert view.low is not None
        assert view.high is not None
        held += view.low <= truth <= view.high
    assert 0.91 < held / rounds < 0.98
