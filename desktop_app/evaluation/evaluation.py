"""The result of an evaluation as it is kept: `evaluation.json` and `predictions.npz` in the run's folder."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import msgspec

from contract.codec import decode, encode, utc_now
from contract.errors import ContractError
from contract.files import atomic_writer, read_bounded, write_atomic
from desktop_app.data.versions import VersionSample
from desktop_app.errors import EvaluationError
from desktop_app.evaluation.figures import (
    CalibrationBin,
    ClassFigures,
    calibration_bins,
    calibration_error,
    class_figures,
    confusion_counts,
    macro_f1,
    mean_log_loss,
    wilson_interval,
    worst_answers,
)
from desktop_app.training.runs import Run

if TYPE_CHECKING:
    import numpy as np

EVALUATION_MAX_BYTES = 64 << 20
PREDICTIONS_MAX_BYTES = 2 << 30
DEFAULT_SPLIT = "test"


class WorstSample(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wrong answer: which sample, what it is, what was said and how surely (0 to 1)."""

    sha256: str
    name: str
    label: str
    predicted: str
    score: float
    occurrence: int = 0


class Evaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How good a run is on one split; `confusion` has true classes as rows, all shares are 0 to 1.

    `scored_by` says what computed the scores: a converted variant (through the device's engine),
    or the run's own `network` or `estimator`.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    run: str
    recipe: str
    dataset_version: str
    split: str
    scored_by: str
    created_at: str
    samples: int
    right: int
    accuracy: float
    interval95: tuple[float, float]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    per_class: dict[str, ClassFigures]
    macro_f1: float
    log_loss: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    worst: tuple[WorstSample, ...]
    notes: tuple[str, ...] = ()


class Predictions(NamedTuple):
    """Scores float32 (N, C) and labels int64 (N,) of a split, in the dataset version's order, with the samples' digests."""

    scores: "np.ndarray"
    labels: "np.ndarray"
    sha256s: tuple[str, ...]


class Subject(NamedTuple):
    """What was evaluated: a run, on which split of which samples, with which label set, scored by what."""

    run: Run
    split: str
    samples: tuple[VersionSample, ...]
    labels: tuple[str, ...]
    scored_by: str


def summarize(subject: Subject, scores: "np.ndarray", labels: "np.ndarray") -> Evaluation:
    """Work out all figures from scores float32 (N, C) and labels int64 (N,); N is at least 1."""
    predicted = scores.argmax(axis=1)
    right = int((predicted == labels).sum())
    per_class = class_figures(labels, predicted, subject.labels)
    bins = calibration_bins(scores, labels)
    return Evaluation(
        schema_version=1,
        run=subject.run.id,
        recipe=subject.run.recipe_digest,
        dataset_version=subject.run.recipe.dataset_version,
        split=subject.split,
        scored_by=subject.scored_by,
        created_at=utc_now(),
        samples=len(labels),
        right=right,
        accuracy=right / len(labels),
        interval95=wilson_interval(right, len(labels)),
        labels=subject.labels,
        confusion=confusion_counts(labels, predicted, len(subject.labels)),
        per_class=per_class,
        macro_f1=macro_f1(per_class),
        log_loss=mean_log_loss(scores, labels),
        calibration_error=calibration_error(bins),
        calibration=bins,
        worst=_worst_samples(subject, scores, labels),
        notes=subject.run.state.notes,
    )


def _worst_samples(subject: Subject, scores: "np.ndarray", labels: "np.ndarray") -> tuple[WorstSample, ...]:
    found = []
    for worst in worst_answers(scores, labels):
        sample = subject.samples[worst.sample]
        predicted = subject.labels[worst.predicted]
        found.append(WorstSample(sample.sha256, sample.name, sample.label, predicted, worst.score, sample.occurrence))
    return tuple(found)


def in_words(evaluation: Evaluation) -> str:
    """One line, e.g. `97.8 % of 270 test samples right (95 % interval 95.2 to 99.0 %)`."""
    low, high = (100 * edge for edge in evaluation.interval95)
    share = 100 * evaluation.accuracy
    return f"{share:.1f} % of {evaluation.samples} {evaluation.split} samples right (95 % interval {low:.1f} to {high:.1f} %)"


def save_evaluation(run: Run, evaluation: Evaluation, predictions: Predictions) -> None:
    """Write the predictions, then the evaluation, each all or nothing."""
    import numpy as np

    with atomic_writer(_path(run, "predictions", evaluation.split, ".npz")) as file:
        digests = np.array(predictions.sha256s, dtype="S64")
        np.savez(file, scores=predictions.scores, labels=predictions.labels, sha256=digests)
    write_atomic(_path(run, "evaluation", evaluation.split, ".json"), encode(evaluation))


def find_evaluation(run: Run, split: str = DEFAULT_SPLIT) -> Evaluation | None:
    """The run's evaluation on a split, None where there is none.

    Raises:
        EvaluationError: its file is broken.
    """
    path = _path(run, "evaluation", split, ".json")
    if not path.is_file():
        return None
    try:
        data = read_bounded(path, EVALUATION_MAX_BYTES)
        return decode(data, Evaluation, f"the evaluation of run {run.id}", EVALUATION_MAX_BYTES)
    except (OSError, ContractError) as error:
        raise EvaluationError(f"the evaluation of run {run.id} can not be read: {error}", "Evaluate it again.") from error


def load_predictions(run: Run, split: str = DEFAULT_SPLIT) -> Predictions:
    """The scores of every sample of a split.

    Raises:
        EvaluationError: the run was not evaluated on it, or the file is broken.
    """
    import numpy as np

    path = _path(run, "predictions", split, ".npz")
    try:
        if path.stat().st_size > PREDICTIONS_MAX_BYTES:
            raise EvaluationError(f"{path.name} is larger than {PREDICTIONS_MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            digests = tuple(digest.decode("ascii") for digest in arrays["sha256"])
            return Predictions(arrays["scores"], arrays["labels"], digests)
    except FileNotFoundError as error:
        advice = f"Evaluate it: eyelet-studio evaluate {run.id} --split {split}."
        raise EvaluationError(f"run {run.id} was not evaluated on the {split} split", advice) from error
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EvaluationError(f"{path.name} of run {run.id} can not be read: {error}", "Evaluate it again.") from error


def _path(run: Run, stem: str, split: str, suffix: str) -> Path:
    return run.path / (f"{stem}{suffix}" if split == DEFAULT_SPLIT else f"{stem}-{split}{suffix}")
