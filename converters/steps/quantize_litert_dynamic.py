"""Dynamic int8 quantization of a TFLite file: int8 weights, activations quantized while it runs; no calibration."""

from pathlib import Path

from converters.errors import StepError
from converters.litert_graph import quantize, read_model, weight_types
from converters.quiet import quiet
from converters.step import Material, Step
from converters.steps.torch_to_litert import LITERT_SYSTEMS


def run(_: Material, source: Path, output: Path) -> None:
    """Quantize the weights."""
    with quiet():
        from ai_edge_quantizer import recipe

        quantize(read_model(source), recipe.dynamic_wi8_afp32(), output)


def ensure(_: Material, __: Path, output: Path) -> None:
    """There are int8 weights."""
    if "int8" not in weight_types(output):
        raise StepError("the quantizer left every weight in floating point")


STEP = Step(
    name="quantize_litert_dynamic",
    edges=(("litert-float32", "litert-int8-dynamic"),),
    run=run,
    ensure=ensure,
    packages=("ai_edge_litert", "ai_edge_quantizer"),
    systems=LITERT_SYSTEMS,
)
