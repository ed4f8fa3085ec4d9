"""What the engine needs to know of a model besides its file: task, labels, inputs, outputs, thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

from contract.manifest import Manifest, TensorSpec

IMAGE_CLASSIFICATION = "image-classification"
TABULAR_CLASSIFICATION = "tabular-classification"
SCORES = "scores"
DEFAULT_THRESHOLD = "default"


@dataclass(frozen=True)
class ModelSpec:
    """The signature of a model, the same for all its variants.

    `thresholds` gives by label the least score at which an answer is accepted; the key `default`
    holds for labels without an entry of their own.
    """

    task: str
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    thresholds: Mapping[str, float]

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelSpec":
        """The signature that a manifest promises."""
        return cls(manifest.task, manifest.labels, manifest.inputs, manifest.outputs, dict(manifest.thresholds))
