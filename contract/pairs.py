"""Paired results of a shadow run: two versions answered the same samples. Without labels this is disagreement, never accuracy.

The unit of comparison is a block of time on a device: samples that follow each other are alike, so
single pairs would promise more than they know.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec

from contract.sketches import LATENCY_BOUNDS_US, Histogram

SCORE_DIFFERENCE_BOUNDS: tuple[float, ...] = tuple(round(-1 + 0.1 * i, 1) for i in range(1, 20))
"""Upper bounds of 20 bins of [-1, 1]."""
SHADOW_PATIENCE = 3.0
"""A shadow run without the pairs that are demanded ends at this many times the policy's `shadow_s`."""
DISAGREEMENTS_LISTED = 20
BLOCKS_PER_SHADOW = 20
"""A block is this part of the policy's `shadow_s`."""
_SHOWN = 3
_SECONDS_UNTIL_S = 120.0
Amount = Annotated[int, msgspec.Meta(ge=0)]


class Disagreement(msgspec.Struct, frozen=True):
    """How often one label became another: `current` of the version that serves, `candidate` of the one in its shadow."""

    current: str
    candidate: str
    count: Amount


class PairedBlock(msgspec.Struct, frozen=True):
    """What happened in one block of time."""

    pairs: Amount
    disagreements: Amount


class PairedResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What two versions answered to the same samples on one device.

    `disagreed` lists the most frequent changes of label, at most `DISAGREEMENTS_LISTED`. `errors`: the
    candidate gave no answer. `dropped`: chosen samples that the candidate did not get, since it was
    busy or they were too large. `score_difference`: the candidate's highest score minus the current
    version's. `blocks`, each `block_s` long, are in the order of time. `skipped` says why nothing
    was paired, empty where the candidate ran in the shadow. `paused_s`: for so long the candidate was
    ended and waited for, since the device was too hot; no block counts that time.
    """

    pairs: Amount = 0
    disagreements: Amount = 0
    disagreed: tuple[Disagreement, ...] = ()
    errors: Amount = 0
    dropped: Amount = 0
    current_latency_us: Histogram | None = None
    candidate_latency_us: Histogram | None = None
    score_difference: Histogram | None = None
    block_s: float = 0.0
    blocks: tuple[PairedBlock, ...] = ()
    skipped: str = ""
    paused_s: float = 0.0

    @property
    def share(self) -> float | None:
        """Share of the pairs that disagree; None without pairs."""
        return self.disagreements / self.pairs if self.pairs else None


def list_disagreements(counts: Iterable[Disagreement]) -> tuple[Disagreement, ...]:
    """The most frequent ones, in an order that depends on nothing else."""
    ranked = sorted(counts, key=lambda found: (-found.count, found.current, found.candidate))
    return tuple(ranked[:DISAGREEMENTS_LISTED])


def describe_pairs(result: PairedResult) -> str:
    """For people, e.g. `disagreed on 3.1 % of 1,204 pairs: 7→1 21 times`; promises nothing more than was seen."""
    if result.skipped:
        return f"no shadow run: {result.skipped}"
    if result.share is None:
        missed = f" ({_count(result.errors, 'error')}, {result.dropped:,} dropped)" if result.errors or result.dropped else ""
        return f"no pair of answers came{missed}{_paused(result)}"
    changes = ", ".join(f"{found.current}→{found.candidate} {_times(found.count)}" for found in result.disagreed[:_SHOWN])
    rest = result.disagreements - sum(found.count for found in result.disagreed[:_SHOWN])
    parts = [changes] if changes else []
    parts += [f"others {_times(rest)}"] if changes and rest else []
    text = f"disagreed on {100 * result.share:.1f} % of {_count(result.pairs, 'pair')}{': ' if parts else ''}{', '.join(parts)}"
    text += f"; no answer to {_count(result.errors, 'sample')}" if result.errors else ""
    return text + (f"; {result.dropped:,} dropped" if result.dropped else "") + _paused(result)


def _paused(result: PairedResult) -> str:
    if not result.paused_s:
        return ""
    length = f"{result.paused_s:.0f} s" if result.paused_s < _SECONDS_UNTIL_S else f"{result.paused_s / 60:.0f} min"
    return f"; paused for {length}, too hot"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def empty_latency() -> Histogram:
    """A latency sketch without values."""
    return Histogram.empty(LATENCY_BOUNDS_US)


def empty_score_difference() -> Histogram:
    """A sketch of score differences without values."""
    return Histogram.empty(SCORE_DIFFERENCE_BOUNDS)
