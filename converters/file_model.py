"""A model file as a source: its specification from what it takes and gives. Pure but for the probe."""

from collections.abc import Sequence
from pathlib import Path

from contract.manifest import TensorSpec
from converters.errors import SourceError
from converters.preprocessing import SCORES
from converters.probe import ProbeResult, Tensor, is_frame, probe
from converters.sources import FILE_FORMATS, FileSource
from converters.steps.import_onnx import scores_output
from edge_agent.engine.model_spec import ModelSpec

RUNTIMES = {"onnx": "onnx", "tflite": "litert"}
_CHANNELS = (1, 3)
_IMAGE_RANK = 3


def open_model(path: Path, labels: Sequence[str]) -> FileSource:
    """A model file as a source; `labels` empty: `0`, `1`, … for its classes.

    Raises:
        SourceError: no such file, another suffix, it does not load, or the labels do not fit.
    """
    if not path.is_file():
        raise SourceError(f"there is no file {path}")
    suffix = path.suffix.lower()
    if suffix not in FILE_FORMATS:
        raise SourceError(
            f"{path.name} can not be converted: expected a file that ends in {' or '.join(FILE_FORMATS)}",
            "A torch network is converted from its training run: eyelet-studio convert.",
        )
    return FileSource(path, spec_of(probe(path, RUNTIMES[FILE_FORMATS[suffix]]), labels))


def spec_of(found: ProbeResult, labels: Sequence[str]) -> ModelSpec:
    """The specification of a classifier with these inputs and outputs.

    Raises:
        SourceError: no output can be the class scores, or there are more or fewer labels than classes.
    """
    wanted = scores_output([tensor.name for tensor in found.outputs])
    scores = next(tensor for tensor in found.outputs if tensor.name == wanted)
    lengths = [length for length in scores.shape if length != 1]
    classes = lengths[0] if len(lengths) == 1 else -1
    if scores.dtype != "float32" or classes < 2:  # noqa: PLR2004  (one class is no choice)
        shape = "x".join(map(str, scores.shape))
        raise SourceError(f"output {scores.name} is {scores.dtype} of shape {shape}, expected float32 scores of two classes or more")
    names = tuple(labels) or tuple(str(index) for index in range(classes))
    if len(names) != classes:
        raise SourceError(f"the model gives scores of {classes} classes, and {len(names)} labels were named")
    inputs = tuple(_input_spec(tensor) for tensor in found.inputs)
    return ModelSpec("classification", names, inputs, (TensorSpec(SCORES, "float32", (classes,), "C"),), {})


def _input_spec(tensor: Tensor) -> TensorSpec:
    if is_frame(tensor):
        return TensorSpec(tensor.name, tensor.dtype, tensor.shape, "HWC")
    shape = tensor.shape[1:] if len(tensor.shape) > 1 and tensor.shape[0] in (-1, 1) else tensor.shape
    layout = ""
    if len(shape) == _IMAGE_RANK and shape[-1] in _CHANNELS:
        layout = "HWC"
    elif len(shape) == _IMAGE_RANK and shape[0] in _CHANNELS:
        layout = "CHW"
    return TensorSpec(tensor.name, tensor.dtype, shape, layout)
