import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from contract.manifest import HostStep
from edge_agent.engine.errors import InputError, StepRefusedError
from edge_agent.engine.host_steps import HOST_STEPS, build_steps, resize

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "host_steps.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_published_vectors(vector: dict) -> None:
    (step,) = build_steps([HostStep(vector["operation"], vector["options"])])
    found = step(np.array(vector["input"], np.uint8)).astype(int)
    expected = np.array(vector["output"])
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= vector["tolerance"]


def test_every_operation_has_a_published_vector() -> None:
    assert {vector["operation"] for vector in VECTORS["vectors"]} == set(HOST_STEPS)


def in_graph_resize(height: int, width: int) -> onnxruntime.InferenceSession:
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["four"]),
        helper.make_node("Resize", ["four", "", "", "size"], ["small"], mode="linear", coordinate_transformation_mode="half_pixel"),
        helper.make_node("Squeeze", ["small", "axis"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.array([0]), "axis"), numpy_helper.from_array(np.array([1, height, width, 3]), "size")]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "resize", [value("x", TensorProto.UINT8, ["H", "W", 3])], [value("y", TensorProto.UINT8, [height, width, 3])], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


SESSIONS = {size: in_graph_resize(*size) for size in ((1, 1), (8, 8), (37, 100), (64, 64))}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SESSIONS)), st.integers(1, 200), st.integers(1, 200), st.integers(0, 2**32 - 1))
def test_resize_is_within_one_level_of_the_graph(size: tuple[int, int], height: int, width: int, seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    expected = SESSIONS[size].run(None, {"x": frame})[0].astype(int)
    assert np.abs(resize(frame, *size).astype(int) - expected).max() <= 1


def test_resize_rounds_down() -> None:
    assert resize(np.array([[[0], [255]]], np.uint8), 1, 1)[0, 0, 0] == 127


def test_a_frame_of_the_right_size_passes_through() -> None:
    frame = np.ones((4, 5, 3), np.uint8)
    assert resize(frame, 4, 5) is frame


def test_grey_is_that_of_pillow() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    (grey,) = build_steps([HostStep("colour", {"order": "GREY"})])
    assert (grey(frame)[:, :, 0] == np.asarray(Image.fromarray(frame).convert("L"))).all()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (HostStep("window", {"length": 4}), "'window' is not supported by this agent version"),
        (HostStep("tokenize"), "not supported by this agent version"),
        (HostStep("sharpen"), "unknown; this agent knows decode, resize, crop, colour"),
        (HostStep("resize", {"height": 4}), "lacks width"),
        (HostStep("resize", {"height": 4, "width": 4, "antialias": True}), "unknown option 'antialias'"),
        (HostStep("resize", {"height": 4, "width": 4, "mode": "cubic"}), "mode='cubic'"),
        (HostStep("resize", {"height": 4, "width": 4, "shrink": "box"}), "shrink='box', which this agent version does not support"),
        (HostStep("resize", {"height": 0, "width": 4}), "height=0"),
        (HostStep("resize", {"height": True, "width": 4}), "height=True"),
        (HostStep("crop", {"height": 4.5, "width": 4}), "height=4.5"),
        (HostStep("colour", {"order": "YUV"}), "order='YUV'"),
        (HostStep("decode", {"kind": "audio"}), "kind='audio'"),
    ],
)
def test_what_is_not_known_is_refused_and_never_guessed(step: HostStep, words: str) -> None:
    with pytest.raises(StepRefusedError, match=words):
        build_steps([step])


def test_a_frame_that_does_not_fit_a_step_is_refused() -> None:
    (crop,) = build_steps([HostStep("crop", {"height": 10, "width": 10})])
    with pytest.raises(InputError, match="at least 10 x 10 are needed"):
        crop(np.zeros((9, 20, 3), np.uint8))
    with pytest.raises(InputError, match="expected a frame"):
        resize(np.zeros((9, 20), np.uint8), 4, 4)
