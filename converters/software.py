"""Where and with what a conversion was done: part of a version's lineage."""

import importlib.metadata
import importlib.util
import platform

_PACKAGES = {
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "skl2onnx": "skl2onnx",
    "scikit-learn": "sklearn",
    "litert-torch": "litert_torch",
    "ai-edge-litert": "ai_edge_litert",
    "ai-edge-quantizer": "ai_edge_quantizer",
    "numpy": "numpy",
}
"""Distributions whose versions decide a result, with the package each of them installs."""


def machine_name() -> str:
    """Where latencies are measured, e.g. `Linux x86_64`."""
    return f"{platform.system()} {platform.machine()}"


def software_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a conversion's result."""
    installed = {name: importlib.metadata.version(name) for name, module in _PACKAGES.items() if importlib.util.find_spec(module)}
    return {"python": platform.python_version(), **installed}
