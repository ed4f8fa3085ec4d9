"""The drift reference of a version: its answers on the validation split, and the limit that resampling gives. Pure."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from contract.reference import Reference, drift_score
from contract.sketches import CONFIDENCE_BOUNDS, Histogram

MINIMUM_COUNT = 100
ROUNDS = 1000
FALSE_ALARM = 0.005
LEAST_LIMIT = 0.05


class Answer(NamedTuple):
    """Label and score of one prediction."""

    label: str
    score: float


def build_reference(answers: Sequence[Answer], *, seed: int = 0, minimum_count: int = MINIMUM_COUNT) -> Reference:
    """Counts of the answers, and the limit that windows of the same data exceed once in 200.

    Each of 1,000 rounds draws, with replacement, a reference of the same size and a window of
    `minimum_count` answers: the limit so covers that the reference itself is only a sample. Its
    quantile at 0.995 is the limit; larger windows vary less.
    """
    plain = _count(answers)
    scores = sorted(_resampled_scores(answers, random.Random(seed), minimum_count)) if answers else [1.0]  # noqa: S311
    limit = scores[min(int((1 - FALSE_ALARM) * len(scores)), len(scores) - 1)]
    return Reference(
        schema_version=Reference.SCHEMA_VERSION,
        confidence=plain.confidence,
        class_counts=plain.class_counts,
        sample_count=len(answers),
        drift_limit=round(min(max(limit, LEAST_LIMIT), 1.0), 4),
        minimum_count=minimum_count,
        false_alarm=FALSE_ALARM,
    )


def _resampled_scores(answers: Sequence[Answer], chooser: random.Random, window: int) -> list[float]:
    scores = []
    for _ in range(ROUNDS):
        drawn = _count(chooser.choices(answers, k=window))
        scores.append(drift_score(_count(chooser.choices(answers, k=len(answers))), drawn.confidence, drawn.class_counts))
    return scores


def _count(answers: Sequence[Answer]) -> Reference:
    return Reference(
        schema_version=Reference.SCHEMA_VERSION,
        confidence=Histogram.of(CONFIDENCE_BOUNDS, (answer.score for answer in answers)),
        class_counts=dict(Counter(answer.label for answer in answers)),
    )
