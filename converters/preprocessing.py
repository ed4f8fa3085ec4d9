"""From a raw frame to what an image network takes: as a graph of its own, joined to the network, or run alone.

The canonical resize (bilinear, half-pixel centres, no antialias, in uint8 before the cast) exists once,
as these ONNX nodes: calibration runs them, and the variants contain them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from contract.manifest import HostStep
from converters.onnx_graph import OPSET, clean
from converters.samples import Sample
from converters.sources import TorchSource
from converters.step import Material

FRAME = "frame"
SCORES = "scores"
NETWORK_INPUT = "nhwc"
NETWORK_OUTPUT = "network_scores"

_RESIZE = """<ir_version: 10, opset_import: ["" : {opset}]>
preprocessing (uint8[H,W,3] frame) => (uint8[1,{height},{width},3] pp_small) {{
  pp_size = Constant<value_ints: ints = [1,{height},{width},3]>()
  pp_axis = Constant<value_ints: ints = [0]>()
  pp_four = Unsqueeze(frame, pp_axis)
  pp_small = Resize<mode: string = "linear", coordinate_transformation_mode: string = "half_pixel">(pp_four, , , pp_size)
}}"""
_CAST = """<ir_version: 10, opset_import: ["" : {opset}]>
preprocessing (uint8[1,{height},{width},3] pp_small) => (float[1,{height},{width},3] pp_float) {{
  pp_float = Cast<to: int = 1>(pp_small)
}}"""
_SQUEEZE = """<ir_version: 10, opset_import: ["" : {opset}]>
naming (float[1,{classes}] po_batch) => (float[{classes}] scores) {{
  po_axis = Constant<value_ints: ints = [0]>()
  scores = Squeeze(po_batch, po_axis)
}}"""


def resize_graph(size: tuple[int, int]) -> Any:  # noqa: ANN401  (onnx has no types)
    """The canonical resize to `size` (h, w): uint8 (H, W, 3) to uint8 (1, h, w, 3)."""
    return _parse(_RESIZE, height=size[0], width=size[1])


def join(network: Any, size: tuple[int, int], classes: int) -> Any:  # noqa: ANN401
    """A network float32 (1, h, w, 3) → (1, C) as a graph from `frame` uint8 (H, W, 3) to `scores` float32 (C,)."""
    import onnx

    cast = _parse(_CAST, height=size[0], width=size[1])
    naming = _parse(_SQUEEZE, classes=classes)
    for part in (network, naming):
        part.ir_version = cast.ir_version
    head = onnx.compose.merge_models(resize_graph(size), cast, io_map=[("pp_small", "pp_small")])
    clean(head)
    whole = onnx.compose.merge_models(head, network, io_map=[("pp_float", NETWORK_INPUT)])
    whole = onnx.compose.merge_models(whole, naming, io_map=[(NETWORK_OUTPUT, "po_batch")])
    whole.graph.name = "eyelet"
    clean(whole)
    return whole


def host_steps(size: tuple[int, int]) -> tuple[HostStep, ...]:
    """The same resize as a host step, for targets that can not hold it."""
    return (HostStep("resize", {"height": size[0], "width": size[1], "mode": "linear"}),)


def resized(frames: Sequence[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames uint8 (H, W, 3) of any size through the canonical resize: uint8 (1, h, w, 3) each."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(resize_graph(size).SerializeToString(), options, providers=["CPUExecutionProvider"])
    for frame in frames:
        yield session.run(None, {FRAME: frame})[0]


def network_inputs(material: Material, samples: Sequence[Sample], dtype: str) -> Iterator[dict[str, np.ndarray]]:
    """Samples as the network between preprocessing and result takes them, with a batch axis.

    For a `TorchSource` one input `nhwc` (1, h, w, 3) of `dtype`; for others the raw inputs.
    """
    source = material.source
    if isinstance(source, TorchSource):
        for small in resized([sample[FRAME] for sample in samples], source.input_size):
            yield {NETWORK_INPUT: small.astype(dtype)}
        return
    for sample in samples:
        yield {name: np.asarray(array)[np.newaxis] for name, array in sample.items()}


def _parse(text: str, **sizes: int) -> Any:  # noqa: ANN401
    import onnx

    graph = onnx.parser.parse_model(text.format(opset=OPSET, **sizes))
    for index, node in enumerate(graph.graph.node):
        node.name = f"{graph.graph.name}_{node.op_type}_{index}"
    return graph
