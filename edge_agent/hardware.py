"""What this device is: its class, the runtimes it has, the agent's own version; nothing heavy is imported."""

import functools
import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

from contract.names import slug

AGENT_VERSION_FALLBACK = "0.1.0"
_LIBRARIES: Mapping[str, tuple[tuple[str, str], ...]] = {  # runtime → (module, distribution), the first found counts
    "onnx": (("onnxruntime", "onnxruntime"),),
    "litert": (("ai_edge_litert", "ai-edge-litert"), ("tflite_runtime", "tflite-runtime")),
}
_MODEL_FILE = Path("/proc/device-tree/model")


@functools.cache
def agent_version() -> str:
    """Version of this agent."""
    return _version("eyelet-edge") or AGENT_VERSION_FALLBACK


def installed_runtimes() -> dict[str, str]:
    """Runtimes whose library is installed, with its name and version. Whether they load, the self-test shows."""
    found = {}
    for runtime, libraries in _LIBRARIES.items():
        for module, distribution in libraries:
            if importlib.util.find_spec(module) is not None:
                found[runtime] = f"{distribution} {_version(distribution)}".strip()
                break
    return found


def hardware_class() -> str:
    """A group of like devices: the board's name where the kernel knows it, else system and processor."""
    try:
        board = _MODEL_FILE.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        board = ""
    return slug(board or f"{platform.system()}-{platform.machine()}")


def version_tuple(text: str) -> tuple[int, ...]:
    """`1.2.3` as numbers, for comparing; what follows the numbers is left out."""
    parts = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def _version(distribution: str) -> str:
    import importlib.metadata  # takes several milliseconds, and a worker that starts need not know

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
