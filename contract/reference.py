"""The drift reference of a model version: how its answers look on data like that of training, and how far is too far."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import msgspec

from contract.messages import Drift
from contract.sketches import Histogram

REFERENCE_MAX_BYTES = 1 << 20


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """`reference.json` of a package: what the version answered on the validation split.

    `confidence` counts the highest score of each answer over `CONFIDENCE_BOUNDS`, `class_counts` the
    answers by label, `sample_count` how many there were. `drift_limit` is the distance that windows of
    `minimum_count` samples of the same data stay below, but for a share of `false_alarm`.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    confidence: Histogram
    class_counts: dict[str, int]
    sample_count: Annotated[int, msgspec.Meta(ge=0)] = 0
    drift_limit: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2
    minimum_count: Annotated[int, msgspec.Meta(ge=1)] = 50
    false_alarm: float = 0.0


def jensen_shannon(first: Sequence[float], second: Sequence[float]) -> float:
    """Jensen-Shannon distance (square root of the divergence, base 2) of two rows of counts, in [0, 1].

    0 where one of them is empty: nothing can be said. Lin (1991), doi:10.1109/18.61115.

    Raises:
        ValueError: the rows differ in length.
    """
    total_first, total_second = sum(first), sum(second)
    divergence = 0.0
    for a, b in zip(first, second, strict=True):
        if not total_first or not total_second:
            return 0.0
        p, q = a / total_first, b / total_second
        middle = (p + q) / 2
        divergence += sum(share * math.log2(share / middle) for share in (p, q) if share > 0) / 2
    return math.sqrt(min(max(divergence, 0.0), 1.0))


def drift_score(reference: Reference, confidence: Histogram, class_counts: Mapping[str, int]) -> float:
    """How far a window's answers lie from the reference's: the larger distance of confidences and of classes.

    Where bounds differ, or the reference names no classes, that part is left out.
    """
    scores = [0.0]
    if confidence.bounds == reference.confidence.bounds and len(confidence.counts) == len(reference.confidence.counts):
        scores.append(jensen_shannon(reference.confidence.counts, confidence.counts))
    if reference.class_counts:
        names = sorted({*reference.class_counts, *class_counts})
        scores.append(jensen_shannon([reference.class_counts.get(n, 0) for n in names], [class_counts.get(n, 0) for n in names]))
    return max(scores)


def measure_drift(reference: Reference, confidence: Histogram, class_counts: Mapping[str, int]) -> Drift:
    """A window's distance with its verdict: `ok`, `drifting` or, below the least count, `too_few`."""
    score = drift_score(reference, confidence, class_counts)
    verdict = "drifting" if score > reference.drift_limit else "ok"
    state = verdict if confidence.count >= reference.minimum_count else "too_few"
    return Drift(score=score, limit=reference.drift_limit, state=state)
