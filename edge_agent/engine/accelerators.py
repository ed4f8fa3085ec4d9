"""Graphics processors behind ONNX Runtime: which are here, how a variant on one is called, what its provider is told.

`onnx-float32@cuda` is the variant `onnx-float32` on the accelerator `cuda`; without a mark it runs on
the CPU. Nothing here imports a library. No graphics processor has run this code yet.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

CPU = "cpu"
MARK = "@"


class Accelerator(NamedTuple):
    """One row of the table: ONNX Runtime's provider and the library that it comes as."""

    provider: str
    library: str


ACCELERATORS: Mapping[str, Accelerator] = {
    "tensorrt": Accelerator("TensorrtExecutionProvider", "libonnxruntime_providers_tensorrt.so"),
    "cuda": Accelerator("CUDAExecutionProvider", "libonnxruntime_providers_cuda.so"),
}
_NODES = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu/igpu0/ctrl", "dev/dxg")
"""Where the driver of a desktop card, of a Jetson (older and newer), of a virtual machine shows its processor."""
_NEEDS = "onnx"


class Placement(NamedTuple):
    """How a variant is run: threads of one inference, the accelerator, where its built engines are kept."""

    threads: int = 1
    accelerator: str = CPU
    engines_folder: Path | None = None


ON_CPU = Placement()


class Placed(NamedTuple):
    """A variant's name taken apart."""

    variant: str
    accelerator: str


def split_name(name: str) -> Placed:
    """`onnx-float32@cuda` as its two parts."""
    variant, mark, accelerator = name.partition(MARK)
    return Placed(variant, accelerator if mark else CPU)


def placed_names(runtimes: Mapping[str, str], accelerators: tuple[str, ...]) -> tuple[str, ...]:
    """Every variant as it can be run here; `runtimes` says by variant which runtime it needs."""
    names = []
    for variant, runtime in runtimes.items():
        names.append(variant)
        names += [f"{variant}{MARK}{accelerator}" for accelerator in accelerators if runtime == _NEEDS]
    return tuple(names)


def present_accelerators(root: Path = Path("/"), package: Path | None = None) -> tuple[str, ...]:
    """Accelerators with a driver's device below `root` and a provider in ONNX Runtime's folder; most devices have none."""
    folder = package or _onnxruntime_folder()
    if folder is None or not any((root / node).exists() for node in _NODES):
        return ()
    return tuple(name for name, row in ACCELERATORS.items() if (folder / "capi" / row.library).exists())


def chosen_accelerators(setting: str, present: tuple[str, ...]) -> tuple[str, ...]:
    """What the owner's setting leaves of those present: `auto` all, `cpu` none, a name that one."""
    if setting == "auto":
        return present
    return tuple(name for name in present if name == setting)


def providers_for(placement: Placement) -> list[tuple[str, dict[str, Any]]]:
    """ONNX Runtime's providers in their order, with options; the CPU is always the last.

    TensorRT keeps the engines that it builds, so that they are built while a version is tested and only read afterwards.
    Its own rest goes to CUDA.
    Options: onnxruntime.ai, TensorRT and CUDA execution providers.
    """
    chain = {CPU: (), "tensorrt": ("tensorrt", "cuda")}.get(placement.accelerator, (placement.accelerator,))
    providers = [(ACCELERATORS[name].provider, _options_of(name, placement.engines_folder)) for name in chain]
    return [*providers, ("CPUExecutionProvider", {})]


def _options_of(accelerator: str, engines_folder: Path | None) -> dict[str, Any]:
    if accelerator == "cuda":
        return {"arena_extend_strategy": "kSameAsRequested"}
    if accelerator != "tensorrt" or engines_folder is None:
        return {}
    kept = str(engines_folder)
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": kept,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": kept,
    }


def _onnxruntime_folder() -> Path | None:
    found = importlib.util.find_spec("onnxruntime")
    return Path(found.origin).parent if found is not None and found.origin else None
