"""An ONNX file from elsewhere becomes a network: one file, in floating point, at an opset that devices read, result named `scores`."""

from pathlib import Path
from typing import Any

from converters.errors import SourceError, StepError
from converters.onnx_graph import LEAST_OPSET, MAX_OPSET, OPSET, QUANTIZED, clean, load_graph, operators, rename_output, save_graph
from converters.preprocessing import SCORES
from converters.quiet import quiet
from converters.sources import FileSource
from converters.step import Material, Step
from edge_agent.engine.model_spec import ModelSpec

_SCORE_NAMES = (SCORES, "probabilities", "output_probability", "softmax", "logits", "output")
_SCORES_RANK = 2
_IR_WITH_FREE_WEIGHTS = 4


def run(material: Material, _: Path, output: Path) -> None:
    """Check, bring the opset down where it is too new, and keep the class scores as only output."""
    source = material.source
    if not isinstance(source, FileSource):
        raise StepError(f"this step takes an ONNX file, got {source.format}")
    graph = load_graph(source.path)
    quantized = sorted(operators(graph) & set(QUANTIZED))
    if quantized:
        raise SourceError(f"{source.path.name} is quantized already ({quantized[0]})", "Give the floating point file it was made from")
    graph = _at_readable_opset(graph, source.path.name)
    _keep_scores(graph, material.source.spec)
    _drop_weight_inputs(graph)
    clean(graph)
    save_graph(graph, output)


def ensure(_: Material, __: Path, output: Path) -> None:
    """The only output is `scores`."""
    names = [tensor.name for tensor in load_graph(output).graph.output]
    if names != [SCORES]:
        raise StepError(f"the imported graph gives {names}, expected {[SCORES]}")


def scores_output(names: list[str]) -> str:
    """Which of several outputs holds the class scores.

    Raises:
        SourceError: none has a name that says so.
    """
    if len(names) == 1:
        return names[0]
    for name in _SCORE_NAMES:
        if name in names:
            return name
    raise SourceError(f"the model has the outputs {names}, and none is named {' or '.join(_SCORE_NAMES[:3])}", "Rename the class scores")


def _keep_scores(graph: Any, spec: ModelSpec) -> None:  # noqa: ANN401  (onnx has no types)
    """Keep the class scores as only output, named `scores`, without trailing axes of length 1."""
    from onnx import TensorProto, helper

    wanted = scores_output([tensor.name for tensor in graph.graph.output])
    kept = next(tensor for tensor in graph.graph.output if tensor.name == wanted)
    del graph.graph.output[:]
    if len(kept.type.tensor_type.shape.dim) <= _SCORES_RANK:
        graph.graph.output.append(kept)
        rename_output(graph, wanted, SCORES)
        return
    graph.graph.node.append(helper.make_node("Flatten", [wanted], [SCORES], name="scores_flatten", axis=1))
    graph.graph.output.append(helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, [None, len(spec.labels)]))


def _drop_weight_inputs(graph: Any) -> None:  # noqa: ANN401
    """Old exports list weights among the inputs, as values that a caller might replace; the quantizer then misses them."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    kept = [tensor for tensor in graph.graph.input if tensor.name not in weights]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    graph.ir_version = max(graph.ir_version, _IR_WITH_FREE_WEIGHTS)


def _at_readable_opset(graph: Any, name: str) -> Any:  # noqa: ANN401
    """The graph at an opset that devices read; one too old for quantization per channel is brought up where that works."""
    opset = max((entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)
    if LEAST_OPSET <= opset <= MAX_OPSET:
        return graph
    from onnx import version_converter

    try:
        with quiet():
            return version_converter.convert_version(graph, OPSET)
    except (RuntimeError, ValueError) as error:  # an operator that it can not move
        if opset < LEAST_OPSET:
            return graph
        raise SourceError(
            f"{name} needs operator set {opset}; devices with ONNX Runtime 1.23 read up to {MAX_OPSET}", f"Export it again at {OPSET}"
        ) from error


STEP = Step(
    name="import_onnx",
    edges=(("onnx", "network-float32"),),
    run=run,
    ensure=ensure,
    packages=("onnx", "onnxruntime"),
)
