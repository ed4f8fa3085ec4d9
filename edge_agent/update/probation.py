"""Whether a new version proves itself, judged from plain numbers.

Latencies come from histograms whose bins are 25 % wide, so the candidate's percentile is taken at
its bin's lower edge and the baseline's at its upper edge: binning alone never fails a version.
"""

from typing import NamedTuple

from contract.messages import UpdatePolicy
from contract.sketches import Histogram
from contract.states import FailureReason, GateVerdict
from edge_agent.update.records import Baseline

BASELINE_MIN_COUNT = 20
JUDGED_FROM_COUNT = 10
"""Errors and latency are judged from this many inferences on, so that one unlucky answer does not roll back."""
CRASH_LIMIT = 3
P95 = 0.95


class Observed(NamedTuple):
    """What a version did since it was activated."""

    inferences: int
    errors: int
    p95_low_us: float | None  # lower edge of the percentile's bin
    crashes: int
    elapsed_s: float


class ProbationVerdict(NamedTuple):
    """Pass, wait or fail, with the reason in words."""

    verdict: GateVerdict
    detail: str
    reason: FailureReason | None = None


def lower_quantile(histogram: Histogram, share: float) -> float | None:
    """Lower edge of the bin that holds a quantile; None without values."""
    upper = histogram.quantile(share)
    if upper is None:
        return None
    index = histogram.bounds.index(upper)
    above_all = index == len(histogram.bounds) - 1 and sum(histogram.counts[:-1]) < share * histogram.count
    if above_all:
        return upper
    return histogram.bounds[index - 1] if index else 0.0


def baseline_of(histogram: Histogram) -> Baseline | None:
    """The baseline from what the version before did lately; None with too few inferences."""
    p95 = histogram.quantile(P95)
    if p95 is None or histogram.count < BASELINE_MIN_COUNT:
        return None
    return Baseline(histogram.count, p95)


def judge(policy: UpdatePolicy, baseline: Baseline | None, seen: Observed) -> ProbationVerdict:
    """Judge a version in probation. Without a baseline only errors and crashes count."""
    failure = _find_failure(policy, baseline, seen)
    if failure is not None:
        return failure
    if seen.elapsed_s < policy.probation_s:
        return ProbationVerdict(GateVerdict.WAIT, f"{seen.elapsed_s:.0f} of {policy.probation_s:g} s passed")
    if seen.inferences < policy.probation_min_inferences:
        return ProbationVerdict(GateVerdict.WAIT, f"{seen.inferences} of {policy.probation_min_inferences} inferences seen")
    return ProbationVerdict(GateVerdict.PASS, f"{seen.inferences} inferences, {seen.errors} errors, no crash")


def _find_failure(policy: UpdatePolicy, baseline: Baseline | None, seen: Observed) -> ProbationVerdict | None:
    if seen.crashes >= CRASH_LIMIT:
        return _fail(FailureReason.PROBATION_CRASHES, f"its worker ended {seen.crashes} times")
    total = seen.inferences + seen.errors
    if total < JUDGED_FROM_COUNT:
        return None
    if seen.errors > policy.error_share * total:
        share = seen.errors / total
        return _fail(
            FailureReason.PROBATION_ERRORS,
            f"{seen.errors} of {total} inferences failed ({share:.1%}), {policy.error_share:.1%} are tolerated",
        )
    if baseline is None or seen.p95_low_us is None or seen.inferences < JUDGED_FROM_COUNT:
        return None
    limit_us = max(policy.latency_factor * baseline.p95_us, policy.latency_floor_ms * 1000)
    if seen.p95_low_us > limit_us:
        return _fail(
            FailureReason.PROBATION_LATENCY,
            f"the slowest 5 % of its inferences take {seen.p95_low_us / 1000:.2f} ms or more, the limit is {limit_us / 1000:.2f} ms "
            f"({policy.latency_factor:g} × {baseline.p95_us / 1000:.2f} ms of the version before)",
        )
    return None


def _fail(reason: FailureReason, detail: str) -> ProbationVerdict:
    return ProbationVerdict(GateVerdict.FAIL, detail, reason)
