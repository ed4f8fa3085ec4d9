"""LiteRT behind the engine's interface; where a device has only the older `tflite-runtime`, that is taken."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.errors import SizeError
from contract.files import read_bounded
from contract.package import PACKAGE_MAX_BYTES
from edge_agent.engine.accelerators import CPU, Placement
from edge_agent.engine.errors import InferenceError, ModelRefusedError
from edge_agent.engine.runtimes import SessionTensor

if TYPE_CHECKING:
    import numpy as np

_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of the file
_SMALLEST_FILE_BYTES = 32
_OLDER_NUMPY = 1  # the major version that tflite-runtime was built for


def library_version() -> str:
    """Name and version of the library.

    Raises:
        ImportError: neither is installed, or the older one beside a numpy that it was not built for.
    """
    import importlib.metadata

    module = _interpreter_class().__module__
    name = "ai-edge-litert" if module.startswith("ai_edge_litert") else "tflite-runtime"
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:  # a frozen program keeps no metadata
        return name


def _interpreter_class() -> Any:  # noqa: ANN401  (neither library has types)
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as absent:
        return _older_interpreter_class(absent)
    return Interpreter


def _older_interpreter_class(absent: ImportError) -> Any:  # noqa: ANN401
    """That of `tflite-runtime`, whose last version loads beside numpy 2 too, and fails only when it is used."""
    try:
        from tflite_runtime.interpreter import Interpreter
    except ImportError:
        raise absent from None
    import numpy as np

    if int(np.__version__.split(".")[0]) > _OLDER_NUMPY:
        raise ImportError(f"tflite-runtime needs numpy {_OLDER_NUMPY}, and numpy {np.__version__} is installed")
    return Interpreter


def open_session(file: Path, placement: Placement) -> "LitertSession":
    """Load a `.tflite` file.

    A malformed file can end the process, so a file from elsewhere is opened in a child first.

    Raises:
        ModelRefusedError: too large, broken, with an operator that the library does not have, or for an accelerator.
    """
    if placement.accelerator != CPU:
        raise ModelRefusedError(f"LiteRT runs on the CPU only, not on {placement.accelerator[:40]!r}")
    try:
        data = read_bounded(file, PACKAGE_MAX_BYTES)
    except (SizeError, OSError) as error:
        raise ModelRefusedError(f"the model file can not be read: {error}") from error
    if len(data) < _SMALLEST_FILE_BYTES or data[4:8] != _IDENTIFIER:
        raise ModelRefusedError(f"{file.name} is no TFLite file: it lacks the mark TFL3")
    try:
        with _quiet():
            interpreter = _interpreter_class()(model_content=data, num_threads=placement.threads)
            interpreter.allocate_tensors()
        if not type(interpreter).__module__.startswith("ai_edge_litert"):
            _refuse_wrong_layers(interpreter, file.name)
        return LitertSession(interpreter)
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise ModelRefusedError(f"LiteRT does not load {file.name}: {_first_line(error)}") from error


def _refuse_wrong_layers(interpreter: Any, name: str) -> None:  # noqa: ANN401
    """Refuse what the last `tflite-runtime` loads but computes wrongly.

    Its fully connected layer with float32 activations and int8 weights (dynamic int8) takes one scale
    for all weights; where every row of them has its own, it counts them as 0 and answers the bias.

    Raises:
        ModelRefusedError: the model has such a layer.
    """
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()  # noqa: SLF001  (no public way; no later version will come)
    layers = [operator["inputs"] for operator in operators if operator["op_name"] == "FULLY_CONNECTED"]
    if any(_has_scale_per_row(tensors[inputs[0]], tensors[inputs[1]]) for inputs in layers):
        raise ModelRefusedError(
            f"tflite-runtime computes the fully connected layers of {name} wrongly: it ignores the scale of each row of int8 weights. "
            "Choose another variant or install ai-edge-litert"
        )


def _has_scale_per_row(activations: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    import numpy as np

    mixed = activations["dtype"] is np.float32 and weights["dtype"] is np.int8
    return mixed and len(weights["quantization_parameters"]["scales"]) > 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what the native library writes to stderr while it loads (one line per delegate, no switch for it)."""
    saved = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


class LitertSession:
    """A loaded `.tflite` file."""

    def __init__(self, interpreter: Any) -> None:  # noqa: ANN401
        self._interpreter = interpreter
        details = interpreter.get_input_details()
        self.inputs = tuple(_tensor(detail) for detail in details)
        self._slots = {tensor.name: int(detail["index"]) for tensor, detail in zip(self.inputs, details, strict=True)}
        self._shapes = {tensor.name: tuple(int(n) for n in detail["shape"]) for tensor, detail in zip(self.inputs, details, strict=True)}
        details = interpreter.get_output_details()
        self.outputs = tuple(_tensor(detail) for detail in details)
        self._indices = [int(detail["index"]) for detail in details]

    def run(self, feed: "dict[str, np.ndarray]") -> "list[np.ndarray]":
        """All outputs in order.

        Raises:
            InferenceError: the runtime failed.
        """
        interpreter = self._interpreter
        try:
            for name, array in feed.items():
                if array.shape != self._shapes[name]:
                    self._resize(name, array.shape)
                interpreter.set_tensor(self._slots[name], array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._indices]
        except (RuntimeError, ValueError) as error:
            raise InferenceError(f"LiteRT failed: {_first_line(error)}") from error

    def _resize(self, name: str, shape: tuple[int, ...]) -> None:
        self._interpreter.resize_tensor_input(self._slots[name], shape, strict=True)
        self._interpreter.allocate_tensors()
        self._shapes[name] = shape

    def close(self) -> None:
        """Drop the interpreter; its memory goes back with it."""
        del self._interpreter


def _tensor(detail: dict[str, Any]) -> SessionTensor:
    import numpy as np

    kind = detail["dtype"]
    dtype = "string" if kind in {np.bytes_, np.str_, np.object_} else np.dtype(kind).name
    signature = detail.get("shape_signature", detail["shape"])
    return SessionTensor(str(detail["name"]), dtype, tuple(int(axis) for axis in signature))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
