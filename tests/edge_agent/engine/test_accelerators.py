"""Accelerators without having one: the rules, the refusals of a real ONNX Runtime, and a provider that every wheel has."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest

from contract.package import Package
from edge_agent.engine import accelerators
from edge_agent.engine.accelerators import (
    CPU,
    Accelerator,
    Placed,
    Placement,
    chosen_accelerators,
    placed_names,
    present_accelerators,
    providers_for,
    split_name,
)
from edge_agent.engine.engine import open_engine, open_variant
from edge_agent.engine.errors import ModelRefusedError, RuntimeAbsentError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.worker.messages import WorkerRequest
from edge_agent.worker.opening import open_model
from edge_agent.worker.self_testing import ENGINE_BUILD_FACTOR, SelfTestRequest, run_self_test
from tests.simulators.packages import make_frames


def test_names_say_where_a_variant_runs() -> None:
    assert split_name("onnx-int8@cuda") == Placed("onnx-int8", "cuda")
    assert split_name("onnx-int8") == Placed("onnx-int8", CPU)
    runtimes = {"onnx-int8": "onnx", "litert-int8": "litert"}
    assert placed_names(runtimes, ("tensorrt", "cuda")) == ("onnx-int8", "onnx-int8@tensorrt", "onnx-int8@cuda", "litert-int8")
    assert placed_names(runtimes, ()) == ("onnx-int8", "litert-int8")


def test_an_accelerator_needs_a_driver_and_a_provider(tmp_path: Path) -> None:
    root, library = tmp_path / "root", tmp_path / "onnxruntime"
    (library / "capi").mkdir(parents=True)
    (library / "capi" / "libonnxruntime_providers_cuda.so").touch()
    assert present_accelerators(root, library) == ()
    (root / "dev").mkdir(parents=True)
    (root / "dev" / "nvhost-gpu").touch()
    assert present_accelerators(root, library) == ("cuda",)
    (library / "capi" / "libonnxruntime_providers_tensorrt.so").touch()
    assert present_accelerators(root, library) == ("tensorrt", "cuda")
    assert present_accelerators(root, tmp_path) == ()


def test_the_owner_chooses_among_those_present() -> None:
    present = ("tensorrt", "cuda")
    chosen = {setting: chosen_accelerators(setting, present) for setting in ("auto", "cpu", "cuda")}
    assert chosen == {"auto": present, "cpu": (), "cuda": ("cuda",)}
    assert chosen_accelerators("tensorrt", ("cuda",)) == ()


def test_the_cpu_is_always_the_last_provider_and_built_engines_are_kept(tmp_path: Path) -> None:
    assert providers_for(Placement()) == [("CPUExecutionProvider", {})]
    names = [name for name, _ in providers_for(Placement(accelerator="cuda"))]
    assert names == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    (first, options), *rest = providers_for(Placement(accelerator="tensorrt", engines_folder=tmp_path))
    assert first == "TensorrtExecutionProvider"
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert [name for name, _ in rest] == ["CUDAExecutionProvider", "CPUExecutionProvider"]


def test_an_absent_provider_is_never_measured_under_its_name(package: Package) -> None:
    with pytest.raises(RuntimeAbsentError, match=r"comes without CUDAExecutionProvider\. Install one that has it"):
        open_engine(package, "onnx-float32@cuda")
    with pytest.raises(ModelRefusedError, match="no accelerator is called 'abacus'; known are tensorrt, cuda"):
        open_engine(package, "onnx-float32@abacus")
    with pytest.raises(ModelRefusedError, match="LiteRT runs on the CPU only"):
        open_engine(package, "litert-float32@cuda")


def test_tensorrt_never_builds_an_engine_within_a_request(package: Package) -> None:
    variant, spec = package.manifest.variants["onnx-float32"], ModelSpec.of(package.manifest)
    with pytest.raises(ModelRefusedError, match="within a request, for the size of frame is free; use CUDA"):
        open_variant(package.variant_path("onnx-float32"), variant, spec, Placement(accelerator="tensorrt"))


def test_a_provider_that_is_there_answers_like_the_cpu(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accelerators.ACCELERATORS, "cloud", Accelerator("AzureExecutionProvider", ""))
    frames, _ = make_frames(3, 3)
    with open_engine(package, "onnx-float32@cloud") as there, open_engine(package, "onnx-float32") as here:
        for frame in frames:
            np.testing.assert_allclose(there.predict({"frame": frame}).scores, here.predict({"frame": frame}).scores, atol=1e-6)


def test_the_self_test_tries_the_accelerator_in_a_child_and_keeps_what_works(package: Package, tmp_path: Path) -> None:
    request = SelfTestRequest(
        str(package.folder), package.digest, ("onnx-float32", "onnx-float32@cuda"), timeout_s=20, engines_folder=str(tmp_path / "engines")
    )
    assert request.of_one("onnx-float32").timeout_s == 20
    assert request.of_one("onnx-float32@cuda").timeout_s == 20 * ENGINE_BUILD_FACTOR
    result = asyncio.run(run_self_test(request))
    assert (result.chosen, result.reason) == ("onnx-float32", None)
    refused = {row.variant: row.detail for row in result.results if row.reason is not None}
    assert list(refused) == ["onnx-float32@cuda"]
    assert "comes without CUDAExecutionProvider" in refused["onnx-float32@cuda"]
    assert (tmp_path / "engines").is_dir()


def test_a_worker_whose_accelerator_is_gone_serves_on_the_cpu(package: Package) -> None:
    request = WorkerRequest(str(package.folder), package.digest, "onnx-float32@cuda")
    opened = open_model(request)
    opened.engine.close()
    assert opened.variant == "onnx-float32"
    with pytest.raises(KeyError):
        open_model(msgspec.structs.replace(request, variant="nothing@cuda"))
