"""Weights and arithmetic of an ONNX network in float16; inputs and outputs stay float32. Half the bytes, on CPUs no gain in time."""

from pathlib import Path

from converters.errors import StepError
from converters.onnx_graph import clean, load_graph, save_graph
from converters.quiet import quiet
from converters.step import Material, Step


def run(_: Material, network: Path, output: Path) -> None:
    """Convert; values beyond the range of float16 are clipped to it."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with quiet():
        graph = convert_float_to_float16(load_graph(network), keep_io_types=True)
    clean(graph)
    save_graph(graph, output)


def ensure(_: Material, network: Path, output: Path) -> None:
    """The file is smaller: otherwise nothing in it was float32."""
    if output.stat().st_size >= network.stat().st_size:
        raise StepError("float16 does not make this network smaller: it has hardly any weights in float32")


STEP = Step(
    name="onnx_to_float16",
    edges=(("network-float32", "network-float16"),),
    run=run,
    ensure=ensure,
    packages=("onnx", "onnxruntime"),
)
