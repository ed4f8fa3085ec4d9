"""LiteRT's adapter where only the older `tflite-runtime` is there; `make check-tflite-runtime` tries the real one."""

import sys

import numpy as np
import pytest

from contract.package import Package
from edge_agent.engine import litert_session
from edge_agent.engine.engine import open_engine
from edge_agent.engine.errors import ModelRefusedError, RuntimeAbsentError
from edge_agent.engine.runtimes import absence_reason, available_runtimes
from tests.simulators.packages import make_frames

NUMPY = int(np.__version__.split(".")[0])


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteRT under the older library's name, and not under its own."""
    from ai_edge_litert import interpreter

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", type(sys)("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)
    monkeypatch.setattr(litert_session, "_OLDER_NUMPY", NUMPY)


class Interpreter:
    """One fully connected layer as both libraries describe it."""

    def __init__(self, activations: type, weights: type, scales: int) -> None:
        self._tensors = [(3, activations, 0), (7, weights, scales)]

    def get_tensor_details(self) -> list[dict]:
        return [{"index": i, "dtype": kind, "quantization_parameters": {"scales": np.ones(n)}} for i, kind, n in self._tensors]

    def _get_ops_details(self) -> list[dict]:
        return [{"op_name": "CAST", "inputs": [3]}, {"op_name": "FULLY_CONNECTED", "inputs": np.array([3, 7, -1])}]


def test_the_older_library_is_taken_where_litert_is_absent(package: Package, older: None) -> None:
    with open_engine(package, "litert-float32") as engine:
        assert engine.predict({"frame": make_frames(1, 1)[0][0]}).label == "red"


def test_without_either_library_the_newer_one_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert "pip install ai-edge-litert" in str(absence_reason("litert"))


def test_a_numpy_that_the_older_library_can_not_use_is_named(package: Package, older: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert_session, "_OLDER_NUMPY", NUMPY - 1)
    with pytest.raises(RuntimeAbsentError, match=f"tflite-runtime needs numpy {NUMPY - 1}, and numpy {np.__version__} is installed"):
        open_engine(package, "litert-float32")
    assert "litert" not in available_runtimes()


@pytest.mark.parametrize(
    ("activations", "weights", "scales", "refused"),
    [(np.float32, np.int8, 6, True), (np.float32, np.int8, 1, False), (np.int8, np.int8, 6, False), (np.float32, np.float32, 0, False)],
)
def test_only_layers_that_the_older_library_computes_wrongly_are_refused(
    activations: type, weights: type, scales: int, refused: bool
) -> None:
    interpreter = Interpreter(activations, weights, scales)
    if not refused:
        litert_session._refuse_wrong_layers(interpreter, "digits.tflite")
        return
    with pytest.raises(ModelRefusedError, match=r"layers of digits\.tflite wrongly.*install ai-edge-litert"):
        litert_session._refuse_wrong_layers(interpreter, "digits.tflite")


def test_litert_describes_operators_and_tensors_as_the_check_reads_them(package: Package) -> None:
    data = package.variant_path("litert-float32").read_bytes()
    interpreter = litert_session._interpreter_class()(model_content=data)
    interpreter.allocate_tensors()
    assert "FULLY_CONNECTED" in {operator["op_name"] for operator in interpreter._get_ops_details()}
    litert_session._refuse_wrong_layers(interpreter, "digits.tflite")
