"""Model files from elsewhere: imported, quantized, refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from contract.manifest import TensorSpec
from converters.conversion import convert
from converters.errors import ConversionError
from converters.samples import EvaluationSet
from converters.sources import FileSource
from edge_agent.engine.model_spec import ModelSpec
from tests.converters.conftest import samples_of

FEATURES, HIDDEN, CLASSES = 24, 64, 4
INPUT = TensorSpec("x", "float32", (FEATURES,))
SPEC = ModelSpec("classification", tuple("abcd"), (INPUT,), (TensorSpec("scores", "float32", (CLASSES,), "C"),), {})
MATRICES = np.random.default_rng(0)
WEIGHTS = [MATRICES.normal(size=shape).astype(np.float32) for shape in ((FEATURES, HIDDEN), (HIDDEN, CLASSES))]


def mlp(path, *, opset=20, output="logits", extra=(), weights_as_inputs=False, outputs=()):
    """Two matrix products with a ReLU between."""
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w1"], [output]),
        *extra,
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", FEATURES])]
    if weights_as_inputs:
        inputs += [helper.make_tensor_value_info(f"w{i}", TensorProto.FLOAT, list(w.shape)) for i, w in enumerate(WEIGHTS)]
    given = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(WEIGHTS)]
    found = list(outputs) or [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", CLASSES])]
    graph = helper.make_graph(nodes, "mlp", inputs, found, given)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return FileSource(path, SPEC)


def samples(count, seed=1):
    values = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)
    answers = np.maximum(values @ WEIGHTS[0], 0) @ WEIGHTS[1]
    return EvaluationSet([{"x": row} for row in values], list(answers.argmax(axis=1)))


def run(source, folder, *targets):
    return convert(source, targets=targets, calibration=samples(64, 2).samples, evaluation=samples(200), folder=folder / "out")


def test_a_network_of_matrix_products_becomes_smaller_in_every_precision(tmp_path):
    report = run(mlp(tmp_path / "m.onnx"), tmp_path, "onnx-float32", "onnx-float16", "onnx-int8", "onnx-int8-dynamic")
    assert not report.refused
    scores = {name: variant.evaluation.score for name, variant in report.variants.items()}
    assert scores["onnx-float32"] == 1.0
    assert min(scores.values()) > 0.9
    sizes = {name: entry.size_bytes for name, entry in report.files.items()}
    assert sizes["onnx-int8-dynamic"] < sizes["onnx-float16"] < sizes["onnx-float32"]


def test_weights_among_the_inputs_stay_weights(tmp_path):
    report = run(mlp(tmp_path / "m.onnx", weights_as_inputs=True), tmp_path, "onnx-int8")
    assert not report.refused
    assert [tensor.name for tensor in onnx.load(tmp_path / "out" / "onnx-int8.onnx").graph.input] == ["x"]


def test_the_class_scores_are_found_among_several_outputs(tmp_path):
    extra = [helper.make_node("ArgMax", ["probabilities"], ["best"], axis=1)]
    kinds = [("best", TensorProto.INT64, ["N", 1]), ("probabilities", TensorProto.FLOAT, ["N", CLASSES])]
    outputs = [helper.make_tensor_value_info(*kind) for kind in kinds]
    report = run(mlp(tmp_path / "m.onnx", output="probabilities", extra=extra, outputs=outputs), tmp_path, "onnx-float32")
    graph = onnx.load(tmp_path / "out" / "onnx-float32.onnx").graph
    assert [tensor.name for tensor in graph.output] == ["scores"]
    assert report.variants["onnx-float32"].evaluation.score == 1.0


def test_scores_with_trailing_axes_are_flattened(tmp_path):
    extra = [helper.make_node("Unsqueeze", ["logits", "axes"], ["map"])]
    axes = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([2, 3], np.int64)))
    outputs = [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", CLASSES, 1, 1])]
    report = run(mlp(tmp_path / "m.onnx", extra=[axes, *extra], outputs=outputs), tmp_path, "onnx-float32")
    assert report.variants["onnx-float32"].evaluation.score == 1.0


def test_an_opset_that_devices_refuse_is_brought_down(tmp_path):
    report = run(mlp(tmp_path / "m.onnx", opset=22), tmp_path, "onnx-float32")
    assert report.variants["onnx-float32"].opset == 20


def test_an_old_opset_is_brought_up_for_weights_per_channel(tmp_path):
    report = run(mlp(tmp_path / "m.onnx", opset=9), tmp_path, "onnx-int8")
    assert not report.refused
    assert report.variants["onnx-int8"].opset >= 13


def test_a_quantized_file_is_refused(tmp_path):
    run(mlp(tmp_path / "m.onnx"), tmp_path, "onnx-int8")
    with pytest.raises(ConversionError, match="is quantized already"):
        run(FileSource(tmp_path / "out" / "onnx-int8.onnx", SPEC), tmp_path / "again", "onnx-float32")


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x00nonsense")
    with pytest.raises(ConversionError, match=r"m\.onnx is no ONNX file"):
        run(FileSource(tmp_path / "m.onnx", SPEC), tmp_path, "onnx-float32")


def test_a_litert_file_is_quantized_and_its_inputs_and_outputs_stay(conversion, tmp_path):
    report, folder = conversion
    frame = TensorSpec("frame", "uint8", (16, 16, 3), "HWC")
    spec = ModelSpec("classification", report.labels, (frame,), (TensorSpec("scores", "float32", (6,), "C"),), {})
    small = [{"frame": np.resize(s["frame"], (16, 16, 3))} for s in samples_of(24, 8).samples]
    source = FileSource(folder / report.variants["litert-float32"].file, spec)
    made = convert(source, targets=["litert-int8", "litert-float16"], calibration=small, evaluation=EvaluationSet(small), folder=tmp_path)
    assert set(made.variants) == {"litert-float32", "litert-float16", "litert-int8"}
    assert made.files["litert-int8"].size_bytes < made.files["litert-float32"].size_bytes


def test_a_litert_file_without_a_signature_gets_one(conversion):
    from ai_edge_litert.tools import flatbuffer_utils

    from converters.litert_graph import with_signature

    report, folder = conversion
    data = (folder / report.variants["litert-float32"].file).read_bytes()
    assert with_signature(data) == data
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    model.signatureDefs = []
    bare = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    (signature,) = flatbuffer_utils.read_model_from_bytearray(bytearray(with_signature(bare))).signatureDefs
    assert (len(signature.inputs), len(signature.outputs)) == (1, 1)
