"""When a new version has proven itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import UpdatePolicy
from contract.sketches import LATENCY_BOUNDS_US, Histogram
from contract.states import VERSION_FAULTS, FailureReason, GateVerdict
from edge_agent.sink_book import Refused
from edge_agent.update.probation import DOUBT, Observed, baseline_of, chance_of, count_above, judge
from edge_agent.update.records import Baseline

POLICY = UpdatePolicy(probation_s=10, probation_min_inferences=20, latency_factor=2.0, latency_floor_ms=1.0, error_share=0.02)
BASELINE = Baseline(100, 2000.0)


def seconds_of(*values: float) -> Histogram:
    return Histogram.of(LATENCY_BOUNDS_US, values)


GOOD = Observed(inferences=50, errors=0, latency_us=seconds_of(*[2500.0] * 50), crashes=0, elapsed_s=11.0)
SLOW = seconds_of(*[2500.0] * 35, *[9000.0] * 15)
A_FEW_SLOW = seconds_of(*[2500.0] * 44, *[9000.0] * 6)


@pytest.mark.parametrize(
    ("seen", "verdict", "reason"),
    [
        (GOOD, GateVerdict.PASS, None),
        (GOOD._replace(elapsed_s=9.0), GateVerdict.WAIT, None),
        (GOOD._replace(inferences=19), GateVerdict.WAIT, None),
        (GOOD._replace(inferences=0, latency_us=seconds_of(), elapsed_s=100.0), GateVerdict.WAIT, None),
        (GOOD._replace(latency_us=SLOW, elapsed_s=1.0), GateVerdict.FAIL, FailureReason.PROBATION_LATENCY),
        (GOOD._replace(latency_us=A_FEW_SLOW), GateVerdict.PASS, None),
        (GOOD._replace(latency_us=seconds_of(*[9000.0] * 9), inferences=9), GateVerdict.WAIT, None),
        (GOOD._replace(latency_us=seconds_of(*[9000.0] * 10), inferences=10), GateVerdict.FAIL, FailureReason.PROBATION_LATENCY),
        (GOOD._replace(errors=2), GateVerdict.FAIL, FailureReason.PROBATION_ERRORS),
        (GOOD._replace(errors=1), GateVerdict.PASS, None),
        (GOOD._replace(inferences=0, latency_us=seconds_of(), errors=10), GateVerdict.FAIL, FailureReason.PROBATION_ERRORS),
        (GOOD._replace(crashes=3, elapsed_s=0.0), GateVerdict.FAIL, FailureReason.PROBATION_CRASHES),
        (GOOD._replace(crashes=2), GateVerdict.PASS, None),
    ],
)
def test_verdicts(seen: Observed, verdict: GateVerdict, reason: FailureReason | None) -> None:
    judged = judge(POLICY, BASELINE, seen)
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert judged.detail


@pytest.mark.parametrize(
    ("baseline", "refused", "verdict"),
    [
        (BASELINE, Refused(40, 40, "callback lamp: its function failed: KeyError: 'blue'"), GateVerdict.FAIL),
        (BASELINE, Refused(3, 3, "callback lamp: …"), GateVerdict.FAIL),
        (BASELINE, Refused(2, 2, "callback lamp: …"), GateVerdict.PASS),
        (BASELINE, Refused(20, 1000, "callback lamp: …"), GateVerdict.PASS),
        (BASELINE, Refused(21, 1000, "callback lamp: …"), GateVerdict.FAIL),
        (Baseline(100, 2000.0, refused=True), Refused(40, 40, "callback lamp: …"), GateVerdict.PASS),
        (None, Refused(40, 40, "callback lamp: …"), GateVerdict.PASS),
    ],
)
def test_records_that_the_owners_function_can_not_take_count_where_the_version_before_had_none(
    baseline: Baseline | None, refused: Refused, verdict: GateVerdict
) -> None:
    judged = judge(POLICY, baseline, GOOD._replace(refused=refused))
    assert judged.verdict is verdict
    if verdict is GateVerdict.FAIL:
        assert judged.reason is FailureReason.INCOMPATIBLE
        assert judged.reason not in VERSION_FAULTS
        assert f"{refused.records} of {refused.offered} records were lost by the sink callback lamp: " in judged.detail


def test_without_a_version_before_only_errors_and_crashes_count() -> None:
    assert judge(POLICY, None, GOOD._replace(latency_us=seconds_of(*[1e6] * 50))).verdict is GateVerdict.PASS


def test_a_latency_below_the_floor_never_fails() -> None:
    assert judge(POLICY, Baseline(100, 50.0), GOOD._replace(latency_us=seconds_of(*[700.0] * 50))).verdict is GateVerdict.PASS


def test_a_policy_that_asks_for_no_inferences_gets_none() -> None:
    policy = UpdatePolicy(probation_s=1, probation_min_inferences=0)
    assert judge(policy, None, Observed(0, 0, seconds_of(), 0, 1.0)).verdict is GateVerdict.PASS


def test_a_baseline_needs_enough_inferences() -> None:
    assert baseline_of(Histogram.of(LATENCY_BOUNDS_US, [100.0] * 19)) is None
    assert baseline_of(Histogram.of(LATENCY_BOUNDS_US, [100.0] * 20)) is not None


@given(values=st.lists(st.floats(1, 9e7), min_size=20, max_size=60))
def test_equal_latencies_never_fail_by_binning_alone(values: list[float]) -> None:
    histogram = Histogram.of(LATENCY_BOUNDS_US, values)
    policy = UpdatePolicy(probation_s=1, latency_factor=1.0001, latency_floor_ms=0)
    seen = Observed(len(values), 0, histogram, 0, 2.0)
    assert judge(policy, baseline_of(histogram), seen).verdict is not GateVerdict.FAIL


@given(values=st.lists(st.floats(1, 1e9), min_size=1, max_size=60), limit=st.sampled_from(LATENCY_BOUNDS_US))
def test_only_values_above_the_limit_are_counted_as_above(values: list[float], limit: float) -> None:
    histogram = Histogram.of(LATENCY_BOUNDS_US, values)
    assert count_above(histogram, limit) == sum(value > limit for value in values)
    assert count_above(histogram, limit * 1.1) <= sum(value > limit * 1.1 for value in values)


@pytest.mark.parametrize(("slow", "total", "chance"), [(0, 10, 1.0), (1, 1, 0.05), (1, 10, 1 - 0.95**10), (10, 10, 0.05**10)])
def test_the_chance_of_so_many_slow_inferences_is_binomial(slow: int, total: int, chance: float) -> None:
    assert chance_of(slow, total) == pytest.approx(chance, rel=1e-9)


def test_a_long_probation_at_the_tolerated_share_is_no_evidence() -> None:
    assert chance_of(500, 10_000) > 0.4
    assert chance_of(620, 10_000) < DOUBT
