"""The figures of an evaluation as pure functions of scores (N, C) and labels (N,)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from desktop_app.errors import EvaluationError

Z_95 = 1.959963984540054
CALIBRATION_BINS = 15


class ClassFigures(msgspec.Struct, frozen=True):
    """One class: shares in 0 to 1 (0 where there is nothing to divide by), `support` its samples."""

    precision: float
    recall: float
    f1: float
    support: int


class CalibrationBin(msgspec.Struct, frozen=True):
    """Samples whose highest score lies in one bin: how sure the model was on average, and how often right."""

    confidence: float
    accuracy: float
    count: int


class Worst(NamedTuple):
    """A wrong answer: the sample's index, what was predicted, and with what score."""

    sample: int
    predicted: int
    score: float


def wilson_interval(right: int, count: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a share at `right` of `count` (Wilson 1927); 95 % by default, (0, 1) without samples."""
    if count == 0:
        return 0.0, 1.0
    share, weight = right / count, z * z / count
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == count else min(1.0, middle + half)
    return low, high


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts (C, C): rows are true classes, columns predicted ones."""
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(labels, predicted, labels=range(classes))
    return tuple(tuple(int(count) for count in row) for row in matrix)


def class_figures(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> dict[str, ClassFigures]:
    """Precision, recall, F1 and support of each class."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0)
    rows = zip(names, *columns, strict=True)
    return {name: ClassFigures(float(precision), float(recall), float(f1), int(support)) for name, precision, recall, f1, support in rows}


def macro_f1(figures: dict[str, ClassFigures]) -> float:
    """Mean F1 over the classes that occur in the split."""
    found = [entry.f1 for entry in figures.values() if entry.support]
    return sum(found) / len(found) if found else 0.0


def mean_log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative logarithm of the true class's probability, in nats; scores are scaled to sum to 1 first."""
    from sklearn.metrics import log_loss

    exact = np.asarray(scores, dtype=np.float64)
    sums = exact.sum(axis=1, keepdims=True)
    shares = np.divide(exact, sums, out=np.full_like(exact, 1 / exact.shape[1]), where=sums > 0)
    if not (shares >= 0).all():  # inf / inf is no number
        raise EvaluationError("the model's scores are no probabilities: some are negative or infinite", "Train the run again.")
    return float(log_loss(labels, shares, labels=range(exact.shape[1])))


def calibration_bins(scores: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """Bins of equal width over the highest score; empty ones are left out."""
    confidence = scores.max(axis=1).astype(np.float64)
    right = scores.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    groups = [place == number for number in range(bins)]
    return tuple(CalibrationBin(float(confidence[g].mean()), float(right[g].mean()), int(g.sum())) for g in groups if g.any())


def calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Expected calibration error (Guo et al. 2017): mean gap between confidence and accuracy, weighted by count.

    The same as `torchmetrics.functional.classification.multiclass_calibration_error` with norm `l1`,
    written here because importing that costs four seconds.
    """
    total = sum(entry.count for entry in bins)
    return sum(abs(entry.accuracy - entry.confidence) * entry.count for entry in bins) / total if total else 0.0


def worst_answers(scores: np.ndarray, labels: np.ndarray, limit: int = 50) -> tuple[Worst, ...]:
    """The wrong answers given with the highest scores, the surest first."""
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    sureness = scores[wrong, predicted[wrong]]
    order = np.argsort(-sureness, kind="stable")[:limit]
    return tuple(Worst(int(wrong[i]), int(predicted[wrong[i]]), float(sureness[i])) for i in order)
