"""Histograms with fixed bounds: small, mergeable by addition, the same on device, server and desk."""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from contract.errors import FormatError

LATENCY_BOUNDS_US: tuple[float, ...] = tuple(round(10 * 1.25**i, 3) for i in range(73))
"""Upper bounds from 10 µs to about 95 s, each 25 % above the one before: a quantile is right within 25 %."""

CONFIDENCE_BOUNDS: tuple[float, ...] = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Upper bounds of 20 equal bins of [0, 1]; the last bin has no bound."""


Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""As many as a device ever counts, and as few as a stranger's number can do harm with."""


class Histogram(msgspec.Struct):
    """Counts between fixed bounds; `counts` has one entry more than `bounds` (above the last)."""

    bounds: tuple[float, ...]
    counts: list[Count]
    total: float = 0.0

    @classmethod
    def empty(cls, bounds: Sequence[float]) -> "Histogram":
        """A histogram without values over strictly rising `bounds`."""
        return cls(bounds=tuple(bounds), counts=[0] * (len(bounds) + 1))

    @classmethod
    def of(cls, bounds: Sequence[float], values: Iterable[float]) -> "Histogram":
        """A histogram of `values`."""
        histogram = cls.empty(bounds)
        for value in values:
            histogram.add(value)
        return histogram

    @property
    def count(self) -> int:
        """How many values were added."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Mean of the values, exact; None without values."""
        return self.total / self.count if self.count else None

    def add(self, value: float) -> None:
        """Count one value (a value equal to a bound belongs below it)."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def quantile(self, share: float) -> float | None:
        """Upper bound of the bin that holds the quantile `share` in [0, 1]; None without values.

        In the last, open bin it is the last bound: the true value is at least that.
        """
        if not self.count:
            return None
        wanted = share * self.count
        for index, seen in enumerate(itertools.accumulate(self.counts)):
            if seen >= wanted and seen:
                return self.bounds[min(index, len(self.bounds) - 1)]
        return self.bounds[-1]


def merge(first: Histogram, second: Histogram) -> Histogram:
    """The histogram of both sets of values.

    Raises:
        FormatError: the bounds differ, so that counts can not be added.
    """
    if first.bounds != second.bounds or len(first.counts) != len(second.counts):
        raise FormatError("two histograms with different bounds can not be merged")
    counts = [a + b for a, b in zip(first.counts, second.counts, strict=True)]
    return Histogram(bounds=first.bounds, counts=counts, total=first.total + second.total)


def merge_counts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Add two counts by name."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in [*first, *(n for n in second if n not in first)]}
