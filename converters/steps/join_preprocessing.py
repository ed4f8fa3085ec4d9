"""A network becomes a variant: the raw frame's preprocessing is joined before it, the result is named `scores`."""

from pathlib import Path

from converters.errors import StepError
from converters.onnx_graph import MAX_OPSET, clean, load_graph, save_graph
from converters.preprocessing import FRAME, SCORES, join
from converters.sources import TorchSource
from converters.step import Material, Step


def run(material: Material, network: Path, output: Path) -> None:
    """Join for image networks; a file that was given keeps its own inputs and is only cleaned."""
    graph = load_graph(network)
    source = material.source
    if isinstance(source, TorchSource):
        graph = join(graph, source.input_size, len(source.spec.labels))
    clean(graph)
    save_graph(graph, output)


def ensure(material: Material, _: Path, output: Path) -> None:
    """Inputs and outputs are those of the model's specification; no unused operator domain is left."""
    graph = load_graph(output)
    outputs = [tensor.name for tensor in graph.graph.output]
    if outputs != [SCORES]:
        raise StepError(f"the variant gives {outputs}, expected {[SCORES]}")
    if isinstance(material.source, TorchSource) and [tensor.name for tensor in graph.graph.input] != [FRAME]:
        raise StepError(f"the variant takes {[tensor.name for tensor in graph.graph.input]}, expected {[FRAME]}")
    if any(entry.domain == "" and entry.version > MAX_OPSET for entry in graph.opset_import):
        raise StepError(f"the variant needs an operator set above {MAX_OPSET}, which devices with ONNX Runtime 1.23 refuse")


STEP = Step(
    name="join_preprocessing",
    edges=tuple((f"network-{kind}", f"onnx-{kind}") for kind in ("float32", "float16", "int8", "int8-dynamic")),
    run=run,
    ensure=ensure,
    packages=("onnx",),
)
