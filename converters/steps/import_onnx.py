"""An ONNX file from elsewhere becomes a network: one file, in floating point, at an opset that devices read, result named `scores`."""

from pathlib import Path
from typing import Any

from converters.errors import SourceError, StepError
from converters.onnx_graph import MAX_OPSET, OPSET, QUANTIZED, clean, load_graph, operators, rename_output, save_graph
from converters.preprocessing import SCORES
from converters.quiet import quiet
from converters.sources import FileSource
from converters.step import Material, Step

_SCORE_NAMES = (SCORES, "probabilities", "output_probability", "softmax", "logits", "output")


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
    _keep_scores(graph)
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


def _keep_scores(graph: Any) -> None:  # noqa: ANN401  (onnx has no types)
    wanted = scores_output([tensor.name for tensor in graph.graph.output])
    kept = [tensor for tensor in graph.graph.output if tensor.name == wanted]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    rename_output(graph, wanted, SCORES)


def _at_readable_opset(graph: Any, name: str) -> Any:  # noqa: ANN401
    opset = max((entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")), default=OPSET)
    if opset <= MAX_OPSET:
        return graph
    from onnx import version_converter

    try:
        with quiet():
            return version_converter.convert_version(graph, OPSET)
    except (RuntimeError, ValueError) as error:
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
