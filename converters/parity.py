"""How far two variants disagree on the same samples. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Parity:
    """`difference` is the largest absolute difference of a score, `agreement` the share of equal answers.

    `flipped` are the indices of samples whose answers differ, rising.
    """

    difference: float
    agreement: float
    flipped: tuple[int, ...]


def compare(reference: np.ndarray, other: np.ndarray) -> Parity:
    """Compare scores (N, C) of the reference with those of another variant on the same samples."""
    flipped = np.flatnonzero(reference.argmax(axis=1) != other.argmax(axis=1))
    difference = float(np.max(np.abs(reference - other))) if len(reference) else 0.0
    return Parity(difference, 1.0 - len(flipped) / max(len(reference), 1), tuple(int(index) for index in flipped))


def accuracy(scores: np.ndarray, labels: Sequence[int]) -> float:
    """Share of samples whose highest score is that of their label."""
    return float(np.mean(scores.argmax(axis=1) == np.asarray(labels)))


def recall_by_class(scores: np.ndarray, labels: Sequence[int], names: Sequence[str]) -> dict[str, float]:
    """Per class that has samples: the share of them that was found."""
    answers, truth = scores.argmax(axis=1), np.asarray(labels)
    return {name: float(np.mean(answers[truth == index] == index)) for index, name in enumerate(names) if np.any(truth == index)}


def tolerance(precision: str, difference: float) -> float:
    """How far a device's outputs of a variant may lie from the desk's.

    float32 differs by rounding alone (1e-6 measured over threads and optimisation levels). float16 and int8
    kernels of other processors round otherwise, by about as much as rounding costs here: so half as much
    again as the largest `difference` from the float32 reference, with a floor.
    """
    if precision == "float32":
        return 1e-4
    floor = 5e-3 if precision == "float16" else 0.02
    return round(min(max(1.5 * difference, floor), 0.5), 4)
