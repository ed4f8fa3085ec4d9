"""A run of tabular classification: preprocessing and classifier as one scikit-learn pipeline, kept as ONNX."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from desktop_app.data.columns import CATEGORY, Column
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.errors import TrainingError
from desktop_app.jobs.context import JobContext
from desktop_app.tasks.tabular_classification import column_value, spec
from desktop_app.training.architecture import ESTIMATOR
from desktop_app.training.architectures import ARCHITECTURES
from desktop_app.training.events import EpochPoint, append_event, report_epoch
from desktop_app.training.models import MODEL_FILES, ModelRecord, write_record
from desktop_app.training.recipe import Recipe, label_permutation
from desktop_app.training.runs import Run, note_epoch

if TYPE_CHECKING:
    import pandas as pd

    from edge_agent.engine.model_spec import ModelSpec

EXAMPLE_ROWS = 64


def fit_table(run: Run, version: DatasetVersion, context: JobContext) -> ModelRecord:
    """Fit and leave `model.onnx` and `model.json` in the run's folder; the estimator itself is not kept.

    Raises:
        TrainingError: the training split lacks a class or has no columns.
    """
    train, validation = version.of_split("train"), version.of_split("validation")
    _check(version, train)
    context.message(f"{len(train)} training and {len(validation)} validation rows, {len(version.columns)} columns; loading scikit-learn")
    begun = time.monotonic()
    estimator = _fit(run.recipe, version, train, context)
    point = _point(estimator, run.recipe, version, (train, validation), time.monotonic() - begun)
    append_event(run.path, "epoch", **msgspec.to_builtins(point))
    note_epoch(run.path, point)
    report_epoch(context, point, 1, step=1)
    context.check_cancelled()
    context.progress(1, 2, "step", "converting to ONNX")
    _keep(estimator, spec(version), frame_of(version.columns, train[:EXAMPLE_ROWS]), run.path / MODEL_FILES[ESTIMATOR])
    context.progress(2, 2, "step", "converting to ONNX")
    return write_record(run.path, ESTIMATOR, spec(version), run.recipe, (len(train), len(validation)))


def _check(version: DatasetVersion, train: Sequence[VersionSample]) -> None:
    if not version.columns:
        raise TrainingError(f"dataset version {version.number} has no columns to learn from", "Import a table with more than its target.")
    missing = sorted(set(version.labels) - {sample.label for sample in train})
    if missing:
        raise TrainingError(
            f"the training split has no sample of {', '.join(missing)[:200]}", "Add samples of it, or freeze with another seed."
        )


def frame_of(columns: Sequence[Column], samples: Sequence[VersionSample]) -> "pd.DataFrame":
    """The samples' features as a data frame, float32 and text columns, exactly as the engine gets them."""
    import pandas as pd

    values = {c.name: [column_value(c, (sample.row or {}).get(c.name))[0] for sample in samples] for c in columns}
    kinds = {c.name: object if c.kind == CATEGORY else np.float32 for c in columns}
    return pd.DataFrame({name: pd.Series(found, dtype=kinds[name]) for name, found in values.items()})


def build_pipeline(recipe: Recipe, columns: Sequence[Column]) -> Any:  # noqa: ANN401
    """Numbers: median for missing ones (and, where asked for, a standard scale). Categories: one column per known value."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    architecture = ARCHITECTURES[recipe.architecture]
    numbers = [c.name for c in columns if c.kind != CATEGORY]
    categories = [c for c in columns if c.kind == CATEGORY]
    parts: list[tuple[str, Any, list[str]]] = []
    if numbers:
        steps: list[tuple[str, Any]] = [("missing", SimpleImputer(strategy="median", keep_empty_features=True))]
        steps += [("scale", StandardScaler())] if architecture.scaled else []
        parts.append(("numbers", Pipeline(steps), numbers))
    if categories:
        known = [list(c.categories) for c in categories]
        encoder = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        parts.append(("categories", encoder, [c.name for c in categories]))
    classifier = architecture.build(recipe.options, seed=recipe.seed, threads=recipe.threads)
    return Pipeline([("columns", ColumnTransformer(parts, sparse_threshold=0)), ("classifier", classifier)])


def _labels(recipe: Recipe, version: DatasetVersion, samples: Sequence[VersionSample]) -> np.ndarray:
    """Labels int64 (N,), permuted where the recipe injects that fault."""
    classes = len(version.labels)
    index = {label: number for number, label in enumerate(version.labels)}
    found = np.array([index[sample.label] for sample in samples], dtype=np.int64)
    if recipe.label_permutation_seed is None:
        return found
    return np.array(label_permutation(recipe.label_permutation_seed, classes), dtype=np.int64)[found]


def _fit(recipe: Recipe, version: DatasetVersion, train: Sequence[VersionSample], context: JobContext) -> Any:  # noqa: ANN401
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    context.progress(0, 2, "step", "fitting")
    pipeline = build_pipeline(recipe, version.columns)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(recipe.threads):
        warnings.simplefilter("always", ConvergenceWarning)
        pipeline.fit(frame_of(version.columns, train), _labels(recipe, version, train))
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        context.message("the solver stopped before it converged; more iterations may give a better model")
    return pipeline


def _point(
    estimator: Any,  # noqa: ANN401
    recipe: Recipe,
    version: DatasetVersion,
    splits: tuple[Sequence[VersionSample], Sequence[VersionSample]],
    seconds: float,
) -> EpochPoint:
    """The run's one epoch, in the same figures as a network's."""
    (train_loss, _), (loss, accuracy) = (_loss_and_accuracy(estimator, recipe, version, split) for split in splits)
    return EpochPoint(
        epoch=1, train_loss=train_loss or 0.0, validation_loss=loss, validation_accuracy=accuracy, seconds=round(seconds, 3), best=True
    )


def _loss_and_accuracy(
    estimator: Any,  # noqa: ANN401
    recipe: Recipe,
    version: DatasetVersion,
    samples: Sequence[VersionSample],
) -> tuple[float | None, float | None]:
    from sklearn.metrics import log_loss

    if not samples:
        return None, None
    labels = _labels(recipe, version, samples)
    scores = estimator.predict_proba(frame_of(version.columns, samples))
    loss = float(log_loss(labels, scores, labels=range(len(version.labels))))
    return loss, float((scores.argmax(axis=1) == labels).mean())


def _keep(estimator: Any, model_spec: "ModelSpec", example: "pd.DataFrame", path: Path) -> None:  # noqa: ANN401
    """Write the estimator as ONNX through the converters' own step, which proves that both answer alike."""
    from converters.errors import ConversionError
    from converters.sources import SklearnSource
    from converters.step import Material
    from converters.steps.sklearn_to_onnx import STEP

    columns = {name: example[name].to_numpy() for name in example.columns}
    material = Material(SklearnSource(estimator, model_spec, columns), ())
    temporary = path.with_name(f".{path.name}.tmp.onnx")
    try:
        STEP.run(material, path, temporary)
        STEP.ensure(material, path, temporary)
        temporary.replace(path)
    except ConversionError as error:
        raise TrainingError(f"the model was fitted but can not be kept as ONNX: {error}", getattr(error, "advice", "")) from error
    finally:
        temporary.unlink(missing_ok=True)
