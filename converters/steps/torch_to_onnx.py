"""A torch network becomes an ONNX network with softmax inside: float32 (1, h, w, 3) in 0..255 → probabilities (1, C)."""

from pathlib import Path

from converters.errors import StepError
from converters.onnx_graph import OPSET, clean, load_graph, save_graph
from converters.preprocessing import NETWORK_INPUT, NETWORK_OUTPUT
from converters.proof import check_against_source
from converters.quiet import quiet
from converters.step import Material, Step
from converters.torch_module import example_frame, with_softmax


def run(material: Material, _: Path, output: Path) -> None:
    """Export with the dynamo exporter at the opset that every supported device reads."""
    import torch

    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            with_softmax(material.source),
            (example_frame(material.source, torch.float32),),
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            verbose=False,
            input_names=[NETWORK_INPUT],
            output_names=[NETWORK_OUTPUT],
        )
    if program is None:
        raise StepError("torch.onnx.export gave no program")
    graph = program.model_proto
    clean(graph)
    save_graph(graph, output)


def ensure(material: Material, _: Path, output: Path) -> None:
    """The network answers as the module does."""
    graph = load_graph(output)
    found = {entry.domain: entry.version for entry in graph.opset_import}
    if found != {"": OPSET}:
        raise StepError(f"the export uses the operator sets {found}, expected only the standard one at {OPSET}")
    check_against_source(material, output, "onnx")


STEP = Step(
    name="torch_to_onnx",
    edges=(("torch", "network-float32"),),
    run=run,
    ensure=ensure,
    packages=("torch", "onnx", "onnxscript", "onnxruntime"),
)
