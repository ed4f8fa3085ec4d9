"""Small operations on ONNX graphs that several steps share."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from contract.errors import SizeError
from contract.files import read_bounded, write_atomic
from converters.errors import SourceError, StepError

OPSET = 20
LEAST_OPSET = 13
"""From here on weights can be quantized per channel."""

MAX_OPSET = 21
"""ONNX Runtime 1.23, the last for Python 3.10 and so for many devices, refuses anything newer."""

MAX_IR_VERSION = 10
PROTOBUF_MAX_BYTES = (2 << 30) - 1
COMPUTING = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU", "RNN")
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul")
CONVOLUTIONS = ("Conv", "ConvTranspose")


def load_graph(path: Path) -> Any:  # noqa: ANN401  (onnx has no types)
    """Read an ONNX file of at most 2 GiB.

    Raises:
        SourceError: too large, or not ONNX.
    """
    import onnx

    try:
        return onnx.load_model_from_string(read_bounded(path, PROTOBUF_MAX_BYTES))
    except SizeError as error:
        raise SourceError(f"{path.name} is larger than the 2 GiB that an ONNX file can have") from error
    except Exception as error:  # protobuf raises types of its own that differ by version
        raise SourceError(f"{path.name} is no ONNX file", "Export it again") from error


def save_graph(graph: Any, path: Path) -> None:  # noqa: ANN401
    """Check a graph completely, shapes included, and write it as one file.

    Raises:
        StepError: it is not valid.
    """
    import onnx

    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise StepError(f"the graph for {path.name} is not valid: {str(error).strip().splitlines()[0][:300]}") from error
    write_atomic(path, graph.SerializeToString(deterministic=True))


def clean(graph: Any) -> None:  # noqa: ANN401
    """Drop operator domains that no node uses, give every node a name, and forget where it was exported.

    Merging leaves the default domain twice in the list of opsets, on which the quantizer stops; the
    quantizer itself adds eight domains that it does not use.
    """
    used = set(_domains(graph.graph)) | {_plain(f.domain) for f in graph.functions}
    opsets = {_plain(entry.domain): entry.version for entry in graph.opset_import if _plain(entry.domain) in used}
    del graph.opset_import[:]
    for domain, version in sorted(opsets.items()):
        entry = graph.opset_import.add()
        entry.domain, entry.version = domain, version
    sort_nodes(graph)
    name_nodes(graph, "node")
    graph.ir_version = min(graph.ir_version, MAX_IR_VERSION)
    graph.doc_string = ""
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


def name_nodes(graph: Any, prefix: str) -> None:  # noqa: ANN401
    """Name unnamed nodes: excluding one unnamed node from quantization would exclude all of them."""
    taken = {node.name for node in graph.graph.node}
    for index, node in enumerate(graph.graph.node):
        if not node.name:
            name = f"{prefix}_{index}"
            while name in taken:
                name += "_"
            node.name = name
            taken.add(name)


def sort_nodes(graph: Any) -> None:  # noqa: ANN401
    """Put every node after those whose results it reads, as ONNX demands; a graph in order is left as it is.

    Raises:
        StepError: the graph has a cycle.
    """
    waiting = list(graph.graph.node)
    missing = {name for node in waiting for name in node.output}
    ordered = []
    while waiting:
        later = []
        for node in waiting:
            if missing & set(node.input):
                later.append(node)
            else:
                missing.difference_update(node.output)
                ordered.append(node)
        if len(later) == len(waiting):
            raise StepError(f"the graph has a cycle through node {later[0].name!r}")
        waiting = later
    if ordered != list(graph.graph.node):
        del graph.graph.node[:]
        graph.graph.node.extend(ordered)


def rename_output(graph: Any, old: str, new: str) -> None:  # noqa: ANN401
    """Rename one output of a graph.

    Raises:
        StepError: another tensor already has the new name.
    """
    if old == new:
        return
    inner = graph.graph
    if any(new in (*node.input, *node.output) for node in inner.node) or any(tensor.name == new for tensor in inner.input):
        raise StepError(f"the model has another tensor named {new!r}", f"Rename it; {new!r} is the name of the class scores")
    for node in inner.node:
        node.output[:] = [new if name == old else name for name in node.output]
        node.input[:] = [new if name == old else name for name in node.input]
    for output in inner.output:
        if output.name == old:
            output.name = new


def rename_inputs(graph: Any, names: Sequence[str]) -> None:  # noqa: ANN401
    """Give the inputs of a graph, in their order, other names; an inner tensor that has one of them steps aside."""
    inner = graph.graph
    old = [tensor.name for tensor in inner.input]
    made = {name for node in inner.node for name in node.output} | {tensor.name for tensor in inner.initializer}
    new = dict(zip(old, names, strict=True)) | {name: f"inner.{name}" for name in made & set(names)}
    for node in inner.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for tensor in (*inner.input, *inner.initializer):
        tensor.name = new.get(tensor.name, tensor.name)


def opset_of(path: Path) -> int:
    """Version of the standard operator set that a file uses; 0 where it uses none."""
    return max((entry.version for entry in load_graph(path).opset_import if not _plain(entry.domain)), default=0)


def operators(graph: Any) -> set[str]:  # noqa: ANN401
    """Types of all nodes."""
    return {node.op_type for node in graph.graph.node}


def outside_of_quantization(graph: Any) -> list[str]:  # noqa: ANN401
    """Names of nodes that static quantization leaves in floating point.

    These are all nodes upstream of the first computing ones (normalisation, and preprocessing where
    a graph has it) and every Softmax.
    """
    computing = {node.name for node in graph.graph.node if node.op_type in COMPUTING}
    tainted: set[str] = set()  # tensors that depend on a computing node
    outside = []
    for node in graph.graph.node:
        if node.name in computing or tainted & set(node.input):
            tainted.update(node.output)
            if node.op_type == "Softmax":
                outside.append(node.name)
        else:
            outside.append(node.name)
    return outside


def weight_share(graph: Any, kinds: Iterable[str]) -> float:  # noqa: ANN401
    """Share of the weights' bytes in initializers that nodes of these kinds take; 0 without weights."""
    sizes = {tensor.name: tensor.ByteSize() for tensor in graph.graph.initializer}
    wanted = set(kinds)
    taken = {name for node in graph.graph.node if node.op_type in wanted for name in node.input if name in sizes}
    total = sum(sizes.values())
    return sum(sizes[name] for name in taken) / total if total else 0.0


def _domains(inner: Any) -> Iterable[str]:  # noqa: ANN401
    for node in inner.node:
        yield _plain(node.domain)
        for attribute in node.attribute:
            for child in (attribute.g, *attribute.graphs):
                yield from _domains(child)


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain
