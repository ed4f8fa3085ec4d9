"""Whether a new version proves itself, judged from plain numbers.

Latencies come from histograms whose bins are 25 % wide, so an inference counts as slow only when its
whole bin lies above the limit, and the baseline's percentile is taken at its bin's upper edge: binning
alone never fails a version. A few slow inferences on a busy device are no evidence either: a version
fails when it is next to impossible that no more than 5 % of its inferences are slow.

Of the records that an application's sinks lose only those count at which the owner's function failed, and
only where none was lost so before: a new label that the function does not know, a new document whose
function does not work here. A broker that is away or a disk that is full is not the version's fault, going
back would not help, and a far address must not be able to undo a rollout; such losses are said
(`edge_agent.sink_book`), not judged. Decision 0016.
"""

import math
from typing import NamedTuple

from contract.messages import UpdatePolicy
from contract.sketches import Histogram
from contract.states import FailureReason, GateVerdict
from edge_agent.sink_book import Refused
from edge_agent.update.records import Baseline

BASELINE_MIN_COUNT = 20
JUDGED_FROM_COUNT = 10
"""Errors and latency are judged from this many inferences on, so that one unlucky answer does not roll back."""
CRASH_LIMIT = 3
REFUSED_LIMIT = 3
"""The share of refused records is judged from this many on: a sink of rules gets few."""
P95 = 0.95
TOLERATED_SLOW_SHARE = 1 - P95
DOUBT = 1e-4
"""A version is slow when as many slow inferences have at most this probability by chance."""


class Observed(NamedTuple):
    """What a version did since it was activated."""

    inferences: int
    errors: int
    latency_us: Histogram
    crashes: int
    elapsed_s: float
    refused: Refused = Refused()


class ProbationVerdict(NamedTuple):
    """Pass, wait or fail, with the reason in words."""

    verdict: GateVerdict
    detail: str
    reason: FailureReason | None = None


def count_above(histogram: Histogram, limit: float) -> int:
    """How many values are certainly above a limit: those of bins that begin at or above it."""
    lower_edges = (0.0, *histogram.bounds)
    return sum(count for edge, count in zip(lower_edges, histogram.counts, strict=True) if edge >= limit)


def chance_of(slow: int, total: int) -> float:
    """Probability of at least `slow` slow inferences of `total` when the tolerated share is slow (binomial)."""
    if slow <= 0:
        return 1.0
    log_share, log_rest = math.log(TOLERATED_SLOW_SHARE), math.log1p(-TOLERATED_SLOW_SHARE)
    logs = (
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) + k * log_share + (total - k) * log_rest
        for k in range(slow, total + 1)
    )
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def baseline_of(histogram: Histogram, *, refused: bool = False) -> Baseline | None:
    """The baseline from what the version before did lately; None with too few inferences."""
    p95 = histogram.quantile(P95)
    if p95 is None or histogram.count < BASELINE_MIN_COUNT:
        return None
    return Baseline(histogram.count, p95, refused)


def judge(policy: UpdatePolicy, baseline: Baseline | None, seen: Observed) -> ProbationVerdict:
    """Judge a version in probation. Without a baseline only errors and crashes count."""
    failure = _find_failure(policy, baseline, seen) or _find_refusal(policy, baseline, seen.refused)
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
    if baseline is None or seen.inferences < JUDGED_FROM_COUNT:
        return None
    limit_us = max(policy.latency_factor * baseline.p95_us, policy.latency_floor_ms * 1000)
    slow = count_above(seen.latency_us, limit_us)
    if chance_of(slow, seen.inferences) <= DOUBT:
        return _fail(
            FailureReason.PROBATION_LATENCY,
            f"{slow} of {seen.inferences} inferences took more than {limit_us / 1000:.2f} ms, 5 % are tolerated; the limit is "
            f"the larger of {policy.latency_factor:g} × {baseline.p95_us / 1000:.2f} ms (95th percentile of the version before) "
            f"and {policy.latency_floor_ms:g} ms",
        )
    return None


def _find_refusal(policy: UpdatePolicy, baseline: Baseline | None, refused: Refused) -> ProbationVerdict | None:
    """No fault that quarantines: it may be the function's, of which a new worker has loaded what is there now."""
    if baseline is None or baseline.refused:
        return None
    if refused.records < REFUSED_LIMIT or refused.records <= policy.error_share * refused.offered:
        return None
    return _fail(
        FailureReason.INCOMPATIBLE,
        f"its application can not run here: {refused.records} of {refused.offered} records were lost by the sink {refused.reason}; "
        "none was lately with the version before",
    )


def _fail(reason: FailureReason, detail: str) -> ProbationVerdict:
    return ProbationVerdict(GateVerdict.FAIL, detail, reason)
