import base64
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from contract.manifest import HostStep, TensorSpec, Variant
from edge_agent.engine.engine import open_variant
from edge_agent.engine.errors import InputError, StepRefusedError
from edge_agent.engine.host_steps import HOST_STEPS, build_steps, hann, resize
from edge_agent.engine.model_spec import ModelSpec

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "host_steps.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_published_vectors(vector: dict) -> None:
    (step,) = build_steps([HostStep(vector["operation"], vector["options"])])
    found = step(np.array(vector["input"], vector.get("dtype", "uint8")))
    expected = np.array(vector["output"])
    assert found.shape == expected.shape
    assert found.dtype == vector.get("output_dtype", "uint8")
    assert np.abs(found.astype(np.float64) - expected).max() <= vector["tolerance"]


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
        (HostStep("sharpen"), "unknown; this agent knows decode, resize, crop, colour, window, tokenize"),
        (HostStep("window", {"hop": 4}), "lacks length"),
        (HostStep("window", {"length": 0}), "length=0"),
        (HostStep("window", {"length": 4, "hop": 2.5}), "hop=2.5"),
        (HostStep("window", {"length": 4, "pad": "reflect"}), "pad='reflect'"),
        (HostStep("window", {"length": 4, "function": "hamming"}), "function='hamming'"),
        (HostStep("window", {"length": 4, "centre": True}), "unknown option 'centre'"),
        (HostStep("tokenize"), "lacks kind and vocabulary"),
        (HostStep("tokenize", {"kind": "bpe"}), "kind='bpe'"),
        (HostStep("tokenize", {"kind": "whitespace", "vocabulary": ["a", "b"]}), "lacks length"),
        (HostStep("tokenize", {"kind": "whitespace", "vocabulary": ["a", "a"], "length": 2}), "vocabulary="),
        (HostStep("tokenize", {"kind": "whitespace", "vocabulary": ["a"], "length": 2}), "unknown=1, pad=0 beyond 1 tokens"),
        (HostStep("tokenize", {"kind": "character", "vocabulary": ["a", "b"], "length": 2, "unknown": 2}), "unknown=2"),
        (HostStep("tokenize", {"kind": "character", "vocabulary": ["a", "b"], "length": 2, "model": ""}), "takes a model only as"),
        (HostStep("tokenize", {"kind": "character", "vocabulary": ["a", "b"], "length": 1 << 20}), "length=1048576"),
        (HostStep("tokenize", {"kind": "sentencepiece", "length": 2}), "lacks model"),
        (HostStep("tokenize", {"kind": "sentencepiece", "length": 2, "model": "", "vocabulary": ["a"]}), "takes no vocabulary"),
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


def test_hann_is_the_periodic_one_and_windows_are_the_signals_own() -> None:
    np.testing.assert_allclose(hann(4), [0, 0.5, 1, 0.5], atol=1e-7)
    (window,) = build_steps([HostStep("window", {"length": 400, "hop": 160, "function": "hann"})])
    sound = np.random.default_rng(1).normal(0, 0.1, 16000).astype(np.float32)
    windows = window(sound)
    assert windows.shape == (98, 400)
    assert windows.dtype == np.float32
    np.testing.assert_allclose(windows[3], sound[480:880] * hann(400), atol=1e-7)
    with pytest.raises(InputError, match="one window needs 400"):
        window(sound[:399])


def test_only_one_text_of_bounded_length_is_tokenized() -> None:
    (tokenize,) = build_steps([HostStep("tokenize", {"kind": "character", "vocabulary": ["_", "?", "a"], "length": 3})])
    assert tokenize(np.array("ab")).tolist() == [2, 1, 0]
    with pytest.raises(InputError, match="expected one text"):
        tokenize(np.array(["a", "b"], object))
    with pytest.raises(InputError, match="at most 1048576"):
        tokenize(np.array(["a" * ((1 << 20) + 1)], object))


def test_sentencepiece_gives_the_ids_of_its_model(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "text.txt").write_text("".join(f"the quick brown fox jumps over dog {n}\n" for n in range(200)))
    prefix = tmp_path / "model"
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text.txt"), model_prefix=str(prefix), vocab_size=50, minloglevel=2, num_threads=1
    )
    model = prefix.with_suffix(".model").read_bytes()
    options = {"kind": "sentencepiece", "model": base64.b64encode(model).decode(), "length": 12, "dtype": "int32"}
    (tokenize,) = build_steps([HostStep("tokenize", options)])
    ids = sentencepiece.SentencePieceProcessor(model_proto=model).encode("the brown dog", out_type=int)
    found = tokenize(np.array(["the brown dog"], object))
    assert found.dtype == np.int32
    assert found.tolist() == [*ids, *[0] * 12][:12]


@pytest.mark.parametrize("model", ["no base64!", "AAAA", base64.b64encode(b"broken" * 100).decode()])
def test_a_broken_sentencepiece_model_is_refused(model: str) -> None:
    pytest.importorskip("sentencepiece")
    with pytest.raises(StepRefusedError, match="is broken"):
        build_steps([HostStep("tokenize", {"kind": "sentencepiece", "model": model, "length": 4})])


def test_without_sentencepiece_its_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(StepRefusedError, match="needs the package sentencepiece"):
        build_steps([HostStep("tokenize", {"kind": "sentencepiece", "model": "", "length": 4})])


def test_a_model_of_text_is_served_through_its_host_step(tmp_path: Path) -> None:
    """One string in, tokenized on the host, ids into the graph."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["ids"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Softmax", ["numbers"], ["scores"], axis=-1),
    ]
    graph = helper.make_graph(nodes, "text", [value("ids", TensorProto.INT64, ["N", 2])], [value("scores", TensorProto.FLOAT, ["N", 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    (tmp_path / "text.onnx").write_bytes(model.SerializeToString())
    step = HostStep("tokenize", {"kind": "whitespace", "vocabulary": ["", "?", "good"], "length": 2, "lower": True})
    spec = ModelSpec(
        "text-classification", ("first", "second"), (TensorSpec("text", "string", (1,)),), (TensorSpec("scores", "float32", (2,)),), {}
    )
    with open_variant(tmp_path / "text.onnx", Variant("onnx", "float32", "none", "text.onnx", pipeline=(step,)), spec) as engine:
        assert engine.predict({"text": np.array(["GOOD"], object)}).label == "first"
        assert engine.predict({"text": np.array(["odd good"], object)}).label == "second"
