import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edge_agent.engine.accelerators import ON_CPU
from edge_agent.engine.errors import ModelRefusedError
from edge_agent.engine.onnx_screening import screen_model
from edge_agent.engine.onnx_session import open_session
from tests.simulators.packages import make_model


def model_of(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto] | None = None, **options: object) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])], constants or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, **options)


def external() -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def branch(node: onnx.NodeProto) -> onnx.NodeProto:
    """An If whose branch holds `node`: what is deep inside is looked at as well."""
    inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])])
    return helper.make_node("If", ["condition"], ["y"], then_branch=inner, else_branch=inner)


def test_what_packages_hold_passes() -> None:
    for kind in ("good", "slow", "crash"):
        screen_model(make_model(3, kind), "model.onnx")
    screen_model(model_of([helper.make_node("FusedMatMul", ["x", "x"], ["y"], domain="com.microsoft")]).SerializeToString(), "m")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (model_of([helper.make_node("Add", ["x", "w"], ["y"])], [external()]), "external data"),
        (model_of([helper.make_node("Constant", [], ["y"], value=external())]), "external data"),
        (model_of([branch(helper.make_node("Constant", [], ["y"], value=external()))]), "external data"),
        (model_of([helper.make_node("Evil", ["x"], ["y"], domain="ai.evil")]), "ai.evil, which come in a native library"),
        (model_of([branch(helper.make_node("Evil", ["x"], ["y"], domain="ai.evil"))]), "ai.evil"),
    ],
)
def test_what_a_package_may_not_hold_is_refused(model: onnx.ModelProto, words: str) -> None:
    with pytest.raises(ModelRefusedError, match=words):
        screen_model(model.SerializeToString(), "model.onnx")


def test_a_models_own_functions_are_no_foreign_operators() -> None:
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 20)]
    )
    screen_model(model_of([helper.make_node("Twice", ["x"], ["y"], domain="own")], functions=[function]).SerializeToString(), "m")


def test_training_information_is_refused() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])])
    model.training_info.add().update_binding.add(key="a", value="b")
    with pytest.raises(ModelRefusedError, match="training"):
        screen_model(model.SerializeToString(), "m")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_bytes_are_screened_or_refused(data: st.DataObject) -> None:
    body = bytearray(make_model())
    for _ in range(data.draw(st.integers(0, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ModelRefusedError):
        screen_model(bytes(body[: data.draw(st.integers(0, len(body)))]), "m")


@pytest.mark.parametrize("body", [b"", b"no model at all", make_model()[:-40]])
def test_a_broken_file_is_refused_by_the_session(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(body)
    with pytest.raises(ModelRefusedError, match=r"m\.onnx"):
        open_session(tmp_path / "m.onnx", ON_CPU)
