import platform

import pytest

from converters.errors import SourceError
from converters.file_model import open_model, spec_of
from converters.probe import ProbeResult, Tensor, probe
from tests.simulators.packages import make_model


def test_inputs_and_outputs_of_a_file(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(make_model(4))
    found = probe(path, "onnx")
    assert found.inputs == (Tensor("frame", "uint8", (-1, -1, 3)),)
    assert found.outputs == (Tensor("scores", "float32", (4,)),)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="an ARM processor divides without a trap")
def test_a_file_that_kills_its_process_is_refused(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(make_model(3, "crash"))
    with pytest.raises(SourceError, match="kills the process"):
        probe(path, "onnx")


@pytest.mark.parametrize("name", ["m.onnx", "m.tflite"])
def test_a_broken_file_is_refused_in_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not a model")
    with pytest.raises(SourceError) as caught:
        open_model(path, ())
    assert "Traceback" not in str(caught.value)
    assert name in str(caught.value)


def test_another_suffix_is_refused(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"x")
    with pytest.raises(SourceError, match=r"\.onnx or \.tflite"):
        open_model(path, ())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match="there is no file"):
        open_model(tmp_path / "none.onnx", ())


def test_layouts_follow_from_shapes():
    scores = Tensor("probabilities", "float32", (1, 5))
    nchw = spec_of(ProbeResult((Tensor("x", "float32", (-1, 3, 8, 9)),), (scores,)), ())
    assert (nchw.inputs[0].shape, nchw.inputs[0].layout, nchw.labels) == ((3, 8, 9), "CHW", ("0", "1", "2", "3", "4"))
    nhwc = spec_of(ProbeResult((Tensor("x", "float32", (1, 8, 9, 3)),), (scores,)), ())
    assert (nhwc.inputs[0].shape, nhwc.inputs[0].layout) == ((8, 9, 3), "HWC")
    row = spec_of(ProbeResult((Tensor("x", "float32", (-1, 7)),), (scores,)), ())
    assert (row.inputs[0].shape, row.inputs[0].layout) == ((7,), "")


def test_a_model_without_class_scores_is_refused():
    with pytest.raises(SourceError, match="expected float32 scores"):
        spec_of(ProbeResult((Tensor("x", "float32", (1, 2)),), (Tensor("y", "int8", (1, 10)),)), ())
    with pytest.raises(SourceError, match="none is named"):
        spec_of(ProbeResult((), (Tensor("a", "float32", (1, 2)), Tensor("b", "float32", (1, 2)))), ())


def test_labels_must_be_as_many_as_classes():
    with pytest.raises(SourceError, match="5 classes, and 2 labels"):
        spec_of(ProbeResult((), (Tensor("scores", "float32", (1, 5)),)), ("a", "b"))
