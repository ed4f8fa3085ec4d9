"""When a new version has proven itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import UpdatePolicy
from contract.sketches import LATENCY_BOUNDS_US, Histogram
from contract.states import FailureReason, GateVerdict
from edge_agent.update.probation import Observed, baseline_of, judge, lower_quantile
from edge_agent.update.records import Baseline

POLICY = UpdatePolicy(probation_s=10, probation_min_inferences=20, latency_factor=2.0, latency_floor_ms=1.0, error_share=0.02)
BASELINE = Baseline(100, 2000.0)
GOOD = Observed(inferences=50, errors=0, p95_low_us=2500.0, crashes=0, elapsed_s=11.0)


@pytest.mark.parametrize(
    ("seen", "verdict", "reason"),
    [
        (GOOD, GateVerdict.PASS, None),
        (GOOD._replace(elapsed_s=9.0), GateVerdict.WAIT, None),
        (GOOD._replace(inferences=19), GateVerdict.WAIT, None),
        (GOOD._replace(inferences=0, p95_low_us=None, elapsed_s=100.0), GateVerdict.WAIT, None),
        (GOOD._replace(p95_low_us=4001.0, elapsed_s=1.0), GateVerdict.FAIL, FailureReason.PROBATION_LATENCY),
        (GOOD._replace(p95_low_us=9000.0, inferences=9), GateVerdict.WAIT, None),
        (GOOD._replace(errors=2), GateVerdict.FAIL, FailureReason.PROBATION_ERRORS),
        (GOOD._replace(errors=1), GateVerdict.PASS, None),
        (GOOD._replace(inferences=0, p95_low_us=None, errors=10), GateVerdict.FAIL, FailureReason.PROBATION_ERRORS),
        (GOOD._replace(crashes=3, elapsed_s=0.0), GateVerdict.FAIL, FailureReason.PROBATION_CRASHES),
        (GOOD._replace(crashes=2), GateVerdict.PASS, None),
    ],
)
def test_verdicts(seen: Observed, verdict: GateVerdict, reason: FailureReason | None) -> None:
    judged = judge(POLICY, BASELINE, seen)
    assert (judged.verdict, judged.reason) == (verdict, reason)
    assert judged.detail


def test_without_a_version_before_only_errors_and_crashes_count() -> None:
    assert judge(POLICY, None, GOOD._replace(p95_low_us=1e6)).verdict is GateVerdict.PASS


def test_a_latency_below_the_floor_never_fails() -> None:
    assert judge(POLICY, Baseline(100, 50.0), GOOD._replace(p95_low_us=900.0)).verdict is GateVerdict.PASS


def test_a_policy_that_asks_for_no_inferences_gets_none() -> None:
    policy = UpdatePolicy(probation_s=1, probation_min_inferences=0)
    assert judge(policy, None, Observed(0, 0, None, 0, 1.0)).verdict is GateVerdict.PASS


def test_a_baseline_needs_enough_inferences() -> None:
    assert baseline_of(Histogram.of(LATENCY_BOUNDS_US, [100.0] * 19)) is None
    assert baseline_of(Histogram.of(LATENCY_BOUNDS_US, [100.0] * 20)) is not None


@given(values=st.lists(st.floats(1, 9e7), min_size=20, max_size=60))
def test_equal_latencies_never_fail_by_binning_alone(values: list[float]) -> None:
    histogram = Histogram.of(LATENCY_BOUNDS_US, values)
    policy = UpdatePolicy(probation_s=1, latency_factor=1.0001, latency_floor_ms=0)
    seen = Observed(len(values), 0, lower_quantile(histogram, 0.95), 0, 2.0)
    assert judge(policy, baseline_of(histogram), seen).verdict is not GateVerdict.FAIL


@given(values=st.lists(st.floats(1, 1e9), min_size=1, max_size=60))
def test_the_lower_edge_lies_below_the_quantile(values: list[float]) -> None:
    histogram = Histogram.of(LATENCY_BOUNDS_US, values)
    low, high = lower_quantile(histogram, 0.95), histogram.quantile(0.95)
    assert low is not None
    assert high is not None
    assert low <= high
    assert low <= max(values)
