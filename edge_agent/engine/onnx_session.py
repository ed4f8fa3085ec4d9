"""ONNX Runtime behind the engine's interface: one thread, no spinning, the CPU unless an accelerator is asked for, no warnings.

A default session burns a whole core at 30 frames per second while it waits; this one does not.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract.errors import SizeError
from contract.files import read_bounded
from contract.package import PACKAGE_MAX_BYTES
from edge_agent.engine.accelerators import ACCELERATORS, CPU, Placement, providers_for
from edge_agent.engine.errors import InferenceError, ModelRefusedError, RuntimeAbsentError
from edge_agent.engine.onnx_screening import screen_model
from edge_agent.engine.runtimes import SessionTensor

if TYPE_CHECKING:
    import numpy as np

_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}
_ERROR_LEVEL = 3
_FATAL_LEVEL = 4


def library_version() -> str:
    """Name and version of the library.

    Raises:
        ImportError: it is not installed.
    """
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def open_session(file: Path, placement: Placement) -> "OnnxSession":
    """Load an ONNX file.

    The file is read once, screened, and the same bytes are given to the runtime.

    Raises:
        ModelRefusedError: too large, broken, with external data or with operators from a custom library.
        RuntimeAbsentError: this ONNX Runtime does not have the accelerator, or falls back to the CPU.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(_FATAL_LEVEL)
    onnxruntime.disable_telemetry_events()  # on Windows; elsewhere `contract` has seen to it
    try:
        data = read_bounded(file, PACKAGE_MAX_BYTES)
    except (SizeError, OSError) as error:
        raise ModelRefusedError(f"the model file can not be read: {error}") from error
    screen_model(data, file.name)
    _check_present(placement)
    try:
        session = onnxruntime.InferenceSession(data, _session_options(placement.threads), providers=providers_for(placement))
    except Exception as error:  # the binding raises a dozen unrelated types
        raise ModelRefusedError(f"ONNX Runtime {onnxruntime.__version__} does not load {file.name}: {_first_line(error)}") from error
    opened = OnnxSession(session)
    _check_placed(opened, session.get_providers(), placement)
    return opened


def _check_present(placement: Placement) -> None:
    import onnxruntime

    if placement.accelerator == CPU:
        return
    row = ACCELERATORS.get(placement.accelerator)
    if row is None:
        raise ModelRefusedError(f"no accelerator is called {placement.accelerator[:40]!r}; known are {', '.join(ACCELERATORS)}")
    if row.provider not in onnxruntime.get_available_providers():
        raise RuntimeAbsentError(
            f"ONNX Runtime {onnxruntime.__version__} comes without {row.provider}. "
            "Install one that has it (onnxruntime-gpu; on a Jetson, NVIDIA's build for its JetPack)"
        )


def _check_placed(session: "OnnxSession", providers: list[str], placement: Placement) -> None:
    """A provider that can not start is left out with a line in the log; measuring the CPU under its name would be a lie."""
    if placement.accelerator == CPU:
        return
    provider = ACCELERATORS[placement.accelerator].provider
    if provider not in providers:
        session.close()
        raise RuntimeAbsentError(f"ONNX Runtime could not start {provider} (driver, CUDA or cuDNN of another version?)")


def _session_options(threads: int) -> Any:  # noqa: ANN401  (the library has no types)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERROR_LEVEL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


class OnnxSession:
    """A loaded ONNX file."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401
        self._session = session
        self._run = _find_run(session)
        self.inputs = tuple(_tensor(node) for node in session.get_inputs())
        self.outputs = tuple(_tensor(node) for node in session.get_outputs())
        self._names = [tensor.name for tensor in self.outputs]

    def run(self, feed: "dict[str, np.ndarray]") -> "list[np.ndarray]":
        """All outputs in order.

        Raises:
            InferenceError: the runtime failed.
        """
        try:
            result: list[np.ndarray] = self._run(self._names, feed, None)
        except Exception as error:  # the binding raises a dozen unrelated types
            raise InferenceError(f"ONNX Runtime failed: {_first_line(error)}") from error
        return result

    def close(self) -> None:
        """Drop the session; its memory goes back with it."""
        del self._run, self._session


def _find_run(session: Any) -> Any:  # noqa: ANN401
    """The library's compiled `run`; its public one only looks first at what the engine has checked already, for 2 to 10 µs."""
    compiled = getattr(session, "_sess", None)
    return session.run if compiled is None else compiled.run


def _tensor(node: Any) -> SessionTensor:  # noqa: ANN401
    shape = tuple(axis if isinstance(axis, int) else -1 for axis in node.shape)
    return SessionTensor(node.name, _DTYPES.get(node.type, node.type), shape)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
