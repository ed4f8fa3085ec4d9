"""Image classification: one picture of any size in, one class out."""

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from contract.manifest import TensorSpec
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.tasks.task import RawInputs, Task

if TYPE_CHECKING:
    from desktop_app.jobs.context import JobContext
    from desktop_app.training.models import ModelRecord
    from desktop_app.training.runs import Run
    from edge_agent.engine.model_spec import ModelSpec

NAME = "image-classification"
FRAME = "frame"
INPUT_SIZES = ((40, 32), (80, 64))
LARGEST_USUAL_SIZE = 96


def spec(version: DatasetVersion) -> "ModelSpec":
    """Input `frame` uint8 (H, W, 3) RGB of any size; output `scores` float32 (C,), probabilities."""
    from edge_agent.engine.model_spec import SCORES, ModelSpec

    frame = TensorSpec(FRAME, "uint8", (-1, -1, 3), layout="HWC", units="RGB grey levels", value_range=(0, 255))
    scores = TensorSpec(SCORES, "float32", (len(version.labels),), layout="C", units="probability", value_range=(0, 1))
    return ModelSpec(NAME, version.labels, (frame,), (scores,), {})


def raw_inputs(project: Project, version: DatasetVersion, samples: Sequence[VersionSample]) -> Iterator[RawInputs]:
    """Each sample's frame as it was imported, decoded by the device's decoder."""
    from desktop_app.data.loading import load_image

    del version
    for sample in samples:
        yield {FRAME: load_image(project, sample.sha256)}


def input_size(version: DatasetVersion) -> int:
    """32 for tiny pictures, 64 for small ones, 96 for all others, by the median of the longer side."""
    sides = [max(sample.width, sample.height) for sample in version.samples]
    median = statistics.median(sides) if sides else 0
    return next((size for limit, size in INPUT_SIZES if median <= limit), LARGEST_USUAL_SIZE)


def fit(project: Project, run: "Run", version: DatasetVersion, context: "JobContext") -> "ModelRecord":
    """Decode, train, keep the best weights."""
    from desktop_app.training.image_runs import fit_images

    return fit_images(project, run, version, context)


TASK = Task(
    name=NAME,
    title="Image classification",
    metric="accuracy",
    default_architecture="small-cnn",
    spec=spec,
    raw_inputs=raw_inputs,
    input_size=input_size,
    fit=fit,
)
