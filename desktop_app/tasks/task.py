"""What an entry of the table of tasks says: how a dataset version becomes a model and raw inputs for it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample

if TYPE_CHECKING:
    import numpy as np

    from desktop_app.jobs.context import JobContext
    from desktop_app.training.models import ModelRecord
    from desktop_app.training.runs import Run
    from edge_agent.engine.model_spec import ModelSpec

RawInputs: TypeAlias = "dict[str, np.ndarray]"
"""One sample as the engine takes it: raw inputs by name, without a batch axis."""


@dataclass(frozen=True)
class Task:
    """One entry of `TASKS`.

    `spec(version)` is the signature of every model of the task; `raw_inputs(project, version, samples)`
    gives the samples as the engine takes them, one at a time; `input_size(version)` is the side that
    suits the version's pictures (0 for other tasks); `fit(project, run, version, context)` trains and
    leaves the model in the run's folder.
    """

    name: str
    title: str
    metric: str
    default_architecture: str
    spec: "Callable[[DatasetVersion], ModelSpec]"
    raw_inputs: Callable[[Project, DatasetVersion, Sequence[VersionSample]], Iterator[RawInputs]]
    input_size: Callable[[DatasetVersion], int]
    fit: "Callable[[Project, Run, DatasetVersion, JobContext], ModelRecord]"
