"""The model as every compared server holds it: one ONNX Runtime session, one thread, spinning off.

Imported in environments that hold a server, onnxruntime and numpy, and nothing of this project.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

MODEL_FILE = "BENCHMARK_MODEL_FILE"
MODEL_SHAPE = "BENCHMARK_MODEL_SHAPE"
_DTYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


class OneThreadModel:
    """One input of a known shape, one output `scores` float32 (C,)."""

    def __init__(self, file: Path, shape: tuple[int, ...]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        (source,) = self._session.get_inputs()
        self._name, self._dtype, self._shape = source.name, _DTYPES[source.type], shape
        self.input_bytes = math.prod(shape) * np.dtype(self._dtype).itemsize

    def score_flat(self, numbers: Sequence[float] | np.ndarray) -> np.ndarray:
        """Scores of a flat list."""
        return self.score(np.asarray(numbers, self._dtype).reshape(self._shape))

    def score_bytes(self, data: bytes | memoryview) -> np.ndarray:
        """Scores of raw bytes."""
        return self.score(np.frombuffer(data, self._dtype).reshape(self._shape))

    def score(self, array: np.ndarray) -> np.ndarray:
        """Scores of an array of the right type and shape."""
        return self._session.run(None, {self._name: array})[0]


def open_from_environment() -> OneThreadModel:
    """The model that the benchmark names in the environment."""
    return OneThreadModel(Path(os.environ[MODEL_FILE]), tuple(int(axis) for axis in os.environ[MODEL_SHAPE].split(",")))
