"""Tabular classification: one row of numbers and categories in, one class out."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from contract.manifest import TensorSpec
from desktop_app.data.columns import CATEGORY, Column
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.tasks.task import RawInputs, Task

if TYPE_CHECKING:
    import numpy as np

    from desktop_app.jobs.context import JobContext
    from desktop_app.training.models import ModelRecord
    from desktop_app.training.runs import Run
    from edge_agent.engine.model_spec import ModelSpec

NAME = "tabular-classification"
MISSING_CATEGORY = ""


def spec(version: DatasetVersion) -> "ModelSpec":
    """One input per column, float32 (1,) or string (1,); output `scores` float32 (C,), probabilities."""
    from edge_agent.engine.model_spec import SCORES, ModelSpec

    inputs = tuple(column_spec(column) for column in version.columns)
    scores = TensorSpec(SCORES, "float32", (len(version.labels),), layout="C", units="probability", value_range=(0, 1))
    return ModelSpec(NAME, version.labels, inputs, (scores,), {})


def column_spec(column: Column) -> TensorSpec:
    """The raw input of one column; a category lists its known values."""
    if column.kind == CATEGORY:
        return TensorSpec(column.name, "string", (1,), layout="F", categories=column.categories)
    return TensorSpec(column.name, "float32", (1,), layout="F")


def column_value(column: Column, value: Any) -> "np.ndarray":  # noqa: ANN401  (what JSON holds)
    """One value as a raw input: float32 (1,), NaN where missing, or text (1,), empty where missing."""
    import numpy as np

    if column.kind == CATEGORY:
        return np.array([MISSING_CATEGORY if value is None else str(value)], dtype=object)
    return np.array([np.nan if value is None else value], dtype=np.float32)


def raw_inputs(project: Project, version: DatasetVersion, samples: Sequence[VersionSample]) -> Iterator[RawInputs]:
    """Each sample's row by column."""
    del project
    for sample in samples:
        row = sample.row or {}
        yield {column.name: column_value(column, row.get(column.name)) for column in version.columns}


def input_size(version: DatasetVersion) -> int:
    """Rows have no size."""
    del version
    return 0


def fit(project: Project, run: "Run", version: DatasetVersion, context: "JobContext") -> "ModelRecord":
    """Fit, and keep the model as ONNX."""
    from desktop_app.training.table_runs import fit_table

    del project
    return fit_table(run, version, context)


TASK = Task(
    name=NAME,
    title="Tabular classification",
    metric="accuracy",
    default_architecture="gradient-boosting",
    spec=spec,
    raw_inputs=raw_inputs,
    input_size=input_size,
    fit=fit,
)
