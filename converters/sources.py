"""What can be converted: a torch module, a scikit-learn estimator, or a model file in floating point."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from converters.errors import SourceError
from edge_agent.engine.model_spec import ModelSpec

FILE_FORMATS = {".onnx": "onnx", ".tflite": "tflite"}


@dataclass(frozen=True)
class TorchSource:
    """An image network in eval mode.

    `module` takes float32 (N, h, w, 3) RGB in 0..255 (normalisation inside) and returns logits (N, C);
    `input_size` is (h, w). The raw input of the variants is a frame of any size, uint8 (H, W, 3).
    """

    module: Any  # torch.nn.Module; torch is not imported before a step needs it
    spec: ModelSpec
    input_size: tuple[int, int]
    format: str = "torch"


@dataclass(frozen=True)
class SklearnSource:
    """A fitted classifier (usually a pipeline) that takes a data frame with one column per raw input.

    `example` holds some values of each column, (N,), float32 or str: enough to compare with.
    """

    estimator: Any
    spec: ModelSpec
    example: Mapping[str, np.ndarray]
    format: str = "sklearn"


@dataclass(frozen=True)
class FileSource:
    """A model file in floating point; its raw inputs are the file's own without the batch axis."""

    path: Path
    spec: ModelSpec

    @property
    def format(self) -> str:
        """`onnx` or `tflite`, by the file's suffix.

        Raises:
            SourceError: another suffix.
        """
        suffix = self.path.suffix.lower()
        if suffix not in FILE_FORMATS:
            raise SourceError(f"{self.path.name} has the suffix {suffix or '(none)'!r}; expected {' or '.join(FILE_FORMATS)}")
        return FILE_FORMATS[suffix]


Source: TypeAlias = TorchSource | SklearnSource | FileSource
