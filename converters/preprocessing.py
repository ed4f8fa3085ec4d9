"""From a raw frame to what an image network takes: as a graph of its own, joined to the network, or run alone.

The canonical resize (bilinear, half-pixel centres, no antialias, in uint8 before the cast) exists once,
as these ONNX nodes: calibration runs them, and the variants contain them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from contract.manifest import HostStep, TensorSpec
from converters.onnx_graph import OPSET, clean
from converters.samples import Sample
from converters.sources import TorchSource
from converters.step import Material
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.runtimes import SessionTensor
from edge_agent.engine.tensors import fit

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


def resized(frames: Iterable[np.ndarray], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frames uint8 (H, W, 3) of any size through the canonical resize: uint8 (1, h, w, 3) each."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(resize_graph(size).SerializeToString(), options, providers=["CPUExecutionProvider"])
    for frame in frames:
        yield session.run(None, {FRAME: frame})[0]


def network_inputs(material: Material, samples: Sequence[Sample], tensors: Sequence[SessionTensor]) -> Iterator[dict[str, np.ndarray]]:
    """Samples as a network file between preprocessing and result takes them; `tensors` are the file's inputs.

    For a `TorchSource` one frame (1, h, w, 3) in the file's type; for others the raw inputs, with a
    batch axis where the file has one.
    """
    source = material.source
    if isinstance(source, TorchSource):
        for small in resized((sample[FRAME] for sample in samples), source.input_size):
            yield {tensors[0].name: small.astype(tensors[0].dtype)}
        return
    for sample in samples:
        yield {name: fit(_objects(sample[spec.name]), shape) for spec, name, shape in _matched(source.spec, tensors)}


def _matched(spec: ModelSpec, tensors: Sequence[SessionTensor]) -> list[tuple[TensorSpec, str, tuple[int, ...]]]:
    """Inputs of the specification with name and shape of the file's; a single one matches whatever its name."""
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(spec.inputs) == 1 == len(tensors):
        return [(spec.inputs[0], tensors[0].name, tensors[0].shape)]
    return [(tensor, tensor.name, by_name[tensor.name].shape) for tensor in spec.inputs]


def _objects(array: np.ndarray) -> np.ndarray:
    return array.astype(object) if array.dtype.kind == "U" else array


def _parse(text: str, **sizes: int) -> Any:  # noqa: ANN401
    import onnx

    graph = onnx.parser.parse_model(text.format(opset=OPSET, **sizes))
    for index, node in enumerate(graph.graph.node):
        node.name = f"{graph.graph.name}_{node.op_type}_{index}"
    return graph
