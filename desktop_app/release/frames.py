"""Raw inputs that travel (golden samples, acceptance sets) are kept small: large frames are shrunk by the canonical resize."""

from collections.abc import Mapping

import numpy as np

from contract.manifest import HostStep, TensorSpec

EDGE_MAX = 512


def bounded(inputs: Mapping[str, np.ndarray], specs: tuple[TensorSpec, ...], edge: int = EDGE_MAX) -> dict[str, np.ndarray]:
    """The inputs with every frame uint8 (H, W, 3) whose longer side exceeds `edge` shrunk to it; text as unicode arrays."""
    frames = {spec.name for spec in specs if spec.layout == "HWC" and spec.dtype == "uint8"}
    texts = {spec.name for spec in specs if spec.dtype == "string"}
    found = {}
    for name, array in inputs.items():
        if name in frames:
            found[name] = _shrunk(array, edge)
        else:
            found[name] = array.astype(np.str_) if name in texts else array
    return found


def _shrunk(frame: np.ndarray, edge: int) -> np.ndarray:
    height, width = frame.shape[:2]
    longer = max(height, width)
    if longer <= edge:
        return frame
    from edge_agent.engine.host_steps import build_steps

    size = {"height": max(1, round(height * edge / longer)), "width": max(1, round(width * edge / longer))}
    step = build_steps((HostStep("resize", {**size, "mode": "linear"}),))[0]
    return step(frame).reshape(size["height"], size["width"], frame.shape[2])
