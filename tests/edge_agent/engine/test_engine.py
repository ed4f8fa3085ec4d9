import subprocess
import sys
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from contract.manifest import HostStep, TensorSpec
from contract.package import Package
from edge_agent.engine.engine import Engine, open_engine, open_variant
from edge_agent.engine.errors import InputError, ModelRefusedError, RuntimeAbsentError, StepRefusedError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.runtimes import RUNTIMES, Runtime, absence_reason, available_runtimes
from tests.simulators.packages import answer, make_frames, make_model


@pytest.mark.parametrize("variant", ["onnx-float32", "litert-float32"])
def test_each_runtime_gives_the_answers_of_the_bare_model(package: Package, variant: str) -> None:
    frames, labels = make_frames(12, 3)
    with open_engine(package, variant) as engine:
        for frame, label in zip(frames, labels, strict=True):
            prediction = engine.predict({"frame": frame})
            assert (prediction.index, prediction.label) == (label, package.manifest.labels[label])
            assert prediction.scores.shape == (3,)
            assert prediction.scores.dtype == np.float32
            assert prediction.score == pytest.approx(float(prediction.scores.max()))
            np.testing.assert_allclose(prediction.scores, answer(make_model(), frame), atol=1e-5)


def test_a_threshold_marks_an_answer_and_never_changes_it(package: Package) -> None:
    spec = replace(ModelSpec.of(package.manifest), thresholds={"default": 0.0, "red": 1.1})
    (red, green, _), _ = make_frames(3, 3)
    with open_variant(package.variant_path("onnx-float32"), package.manifest.variants["onnx-float32"], spec) as engine:
        refused, accepted = engine.predict({"frame": red}), engine.predict({"frame": green})
    assert (refused.label, refused.accepted) == ("red", False)
    assert (accepted.label, accepted.accepted) == ("green", True)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ({}, "expected the inputs frame; got none"),
        ({"picture": np.zeros((4, 4, 3), np.uint8)}, "got picture"),
        ({"frame": np.zeros((4, 4, 3), np.uint8), "more": np.zeros(1)}, "got frame, more"),
        ({"frame": np.zeros((4, 4, 3), np.float32)}, "expected uint8, got float32"),
        ({"frame": np.zeros((4, 4, 4), np.uint8)}, r"expected shape \(any, any, 3\), got \(4, 4, 4\)"),
        ({"frame": np.zeros((4, 4), np.uint8)}, "expected shape"),
        ({"frame": np.zeros((0, 4, 3), np.uint8)}, "expected shape"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_with_both_sides(engine: Engine, sample: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InputError, match=words):
        engine.predict(sample)


def test_a_variant_that_the_package_lacks_is_named(package: Package) -> None:
    with pytest.raises(ModelRefusedError, match="no variant 'onnx-int8'; it has litert-float32, onnx-float32"):
        open_engine(package, "onnx-int8")


def test_a_runtime_without_its_library_says_what_to_install(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeAbsentError, match="pip install onnxruntime"):
        open_engine(package, "onnx-float32")
    assert "onnx" not in available_runtimes()
    assert "can not be used" in str(absence_reason("onnx"))
    assert absence_reason("litert") is None


def test_an_unknown_runtime_or_step_is_refused(package: Package) -> None:
    spec, variant = ModelSpec.of(package.manifest), package.manifest.variants["onnx-float32"]
    path = package.variant_path("onnx-float32")
    with pytest.raises(ModelRefusedError, match="this agent knows onnx, litert"):
        open_variant(path, msgspec.structs.replace(variant, runtime="caffe"), spec)
    with pytest.raises(StepRefusedError, match="Nothing is guessed"):
        open_variant(path, msgspec.structs.replace(variant, pipeline=(HostStep("sharpen"),)), spec)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": (TensorSpec("frame", "float32", (-1, -1, 3)),)}, "input frame as float32, the model file takes uint8"),
        ({"outputs": (TensorSpec("scores", "float16", (3,)),)}, "output scores as float16, the model file gives float32"),
        ({"outputs": (TensorSpec("boxes", "float32", (3,)),)}, "needs an output named scores"),
        ({"labels": ()}, "needs labels"),
    ],
)
def test_a_file_that_does_not_fit_its_manifest_is_refused(package: Package, changes: dict[str, object], words: str) -> None:
    spec = replace(ModelSpec.of(package.manifest), **changes)  # type: ignore[arg-type]
    with pytest.raises(ModelRefusedError, match=words):
        open_variant(package.variant_path("onnx-float32"), package.manifest.variants["onnx-float32"], spec)


def test_a_closed_engine_says_so(package: Package) -> None:
    engine = open_engine(package, "onnx-float32")
    engine.close()
    engine.close()
    with pytest.raises(ModelRefusedError, match="closed"):
        engine.predict({"frame": make_frames(1, 1)[0][0]})


def test_the_table_names_modules_that_exist() -> None:
    import importlib

    for row in RUNTIMES.values():
        assert isinstance(row, Runtime)
        assert callable(importlib.import_module(row.module).open_session)


def test_opening_a_model_writes_nothing_to_stderr(package: Package) -> None:
    code = (
        "import sys; from pathlib import Path; from contract.package import open_package\n"
        "from edge_agent.engine.engine import open_engine\n"
        "package = open_package(Path(sys.argv[1]), None)\n"
        "for variant in package.manifest.variants: open_engine(package, variant).close()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(package.folder)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
