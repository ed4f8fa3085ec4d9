"""Which variant and how many threads serve best on this device: measured in limited children, chosen by one rule, kept by digest."""

import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from contract.codec import utc_now
from contract.messages import MeasuredVariant
from contract.states import FailureReason
from edge_agent.home import Home, load_document, save_document
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult, VariantResult, run_self_test

TUNED_FILE = "tuned.json"
THREADS_MUST_GAIN = 1.3
"""More threads are taken only where they are faster by this factor: they take the processors from everything else."""
SAME_LATENCY = 1.05
"""Variants within five percent are equally fast; then the better acceptance score counts, then the name."""
MOST_THREADS = 8

log = logging.getLogger(__name__)


class Row(msgspec.Struct, frozen=True):
    """One variant with one number of threads."""

    threads: int
    result: VariantResult
    throttled: bool = False  # the device was slowed down meanwhile


class Choice(msgspec.Struct, frozen=True):
    """What `tune` found for one version; `measured` holds the best row of each variant."""

    variant: str
    threads: int
    at: str
    budget_ms: float
    minimum_score: float
    measured: tuple[MeasuredVariant, ...]


class Demands(NamedTuple):
    """What a variant must meet: 95th percentile in milliseconds (0: any), share of right answers."""

    budget_ms: float = 0.0
    minimum_score: float = 0.0


class Verdict(NamedTuple):
    """The best row, or None; `refusals` says of each row that is out why."""

    best: Row | None
    refusals: dict[tuple[str, int], str]


def thread_counts(processors: int) -> tuple[int, ...]:
    """1, 2, 4, … up to the processors and to eight."""
    return tuple(count for count in (1, 2, 4, 8) if count <= max(1, min(processors, MOST_THREADS)))


def choose(rows: Sequence[Row], demands: Demands) -> Verdict:
    """The fastest row that meets the demands; among the equally fast the more accurate one."""
    scores = {row.result.variant: row.result.acceptance_score for row in rows if row.result.acceptance_score is not None}
    refusals = {(row.result.variant, row.threads): why for row in rows if (why := _refusal(row, demands, scores))}
    fit = [row for row in rows if (row.result.variant, row.threads) not in refusals]
    contenders = [_best_threads([row for row in fit if row.result.variant == name]) for name in sorted({r.result.variant for r in fit})]
    if not contenders:
        return Verdict(None, refusals)
    least = min(row.result.latency_p50_ms for row in contenders)
    equal = [row for row in contenders if row.result.latency_p50_ms <= SAME_LATENCY * least]
    return Verdict(min(equal, key=lambda row: (-(scores.get(row.result.variant) or 0.0), row.threads, row.result.variant)), refusals)


def _refusal(row: Row, demands: Demands, scores: dict[str, float]) -> str:
    result = row.result
    if result.reason is not None:
        return result.detail or result.reason.value
    score = scores.get(result.variant)
    if score is not None and score < demands.minimum_score:
        return f"answers {score:.1%} of the acceptance samples rightly, at least {demands.minimum_score:.1%} are needed"
    if demands.budget_ms and result.latency_p95_ms > demands.budget_ms:
        return f"95th percentile {result.latency_p95_ms:.2f} ms, the budget is {demands.budget_ms:g} ms"
    return ""


def _best_threads(rows: Sequence[Row]) -> Row:
    """Of one variant: more threads only where they gain enough over fewer."""
    best, *more = sorted(rows, key=lambda row: row.threads)
    for row in more:
        if row.result.latency_p50_ms * THREADS_MUST_GAIN < best.result.latency_p50_ms:
            best = row
    return best


async def measure(
    request: SelfTestRequest,
    threads: Iterable[int],
    said: Callable[[str], None],
    test: Callable[[SelfTestRequest], Awaitable[SelfTestResult]] = run_self_test,
    is_slowed_down: Callable[[], bool] = lambda: False,
) -> list[Row]:
    """Every variant of `request` with every number of threads, each in a limited child of its own; `said` hears of each.

    Rows that were measured while the device `is_slowed_down` are marked.
    """
    rows: list[Row] = []
    for variant in request.variants:
        for count in threads:
            first = not any(row.result.variant == variant for row in rows)
            one = msgspec.structs.replace(request, variants=(variant,), threads=count, acceptance=request.acceptance if first else "")
            throttled = is_slowed_down()
            results = (await test(one)).results
            throttled = throttled or is_slowed_down()
            rows += [Row(count, result, throttled) for result in results]
            said(f"{variant}, {count} thread{'s' if count > 1 else ''}: {words(rows[-1].result)}")
            if first and rows[-1].result.reason not in {None, FailureReason.TIMED_OUT}:
                break  # what does not run with one thread does not run with two
    return rows


def words(result: VariantResult) -> str:
    """A measurement in words."""
    if result.reason is not None:
        return result.detail or result.reason.value
    return f"{result.latency_p50_ms:.3f} ms (95th percentile {result.latency_p95_ms:.3f} ms)"


def build_choice(rows: Sequence[Row], best: Row, demands: Demands) -> Choice:
    """The choice with its numbers."""
    measured = []
    scores = {row.result.variant: row.result.acceptance_score for row in rows if row.result.acceptance_score is not None}
    for name in dict.fromkeys(row.result.variant for row in rows if row.result.reason is None):
        row = best if name == best.result.variant else _best_threads([r for r in rows if r.result.variant == name and not r.result.reason])
        result = row.result
        measured.append(
            MeasuredVariant(
                variant=name,
                latency_p50_ms=result.latency_p50_ms,
                latency_p95_ms=result.latency_p95_ms,
                max_difference=result.max_difference,
                acceptance_score=scores.get(name),
                chosen=row is best,
                threads=row.threads,
                throttled=row.throttled,
            )
        )
    return Choice(best.result.variant, best.threads, utc_now(), demands.budget_ms, demands.minimum_score, tuple(measured))


def save_choice(home: Home, digest: str, choice: Choice) -> None:
    """Keep the choice for a version; choices for versions that are gone are dropped."""
    known = {name: kept for name, kept in _load(home).items() if (home.versions / name).is_dir()}
    save_document(home.state / TUNED_FILE, {**known, digest: choice})


def load_choice(home: Home, digest: str) -> Choice | None:
    """The choice for a version; None where it was never tuned."""
    return _load(home).get(digest)


def forget_choice(home: Home, digest: str) -> None:
    """Drop a choice, because its variant does not start any more."""
    with contextlib.suppress(OSError):
        save_document(home.state / TUNED_FILE, {name: choice for name, choice in _load(home).items() if name != digest})


def _load(home: Home) -> dict[str, Choice]:
    path = home.state / TUNED_FILE
    return (load_document(path, dict[str, Choice]) or {}) if path.exists() else {}


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
