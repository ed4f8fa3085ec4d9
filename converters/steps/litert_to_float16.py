"""Weights of a TFLite file in float16, arithmetic in float32: half the bytes, the same answers to four digits."""

from pathlib import Path

from converters.errors import StepError
from converters.litert_graph import quantize, read_model, weight_types
from converters.quiet import quiet
from converters.step import Material, Step
from converters.steps.torch_to_litert import LITERT_SYSTEMS


def run(_: Material, source: Path, output: Path) -> None:
    """Cast the weights."""
    with quiet():
        from ai_edge_quantizer import qtyping, recipe_manager

        rules = recipe_manager.RecipeManager()
        rules.add_quantization_config(
            regex=".*",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            op_config=qtyping.OpQuantizationConfig(
                weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
                compute_precision=qtyping.ComputePrecision.FLOAT,
                explicit_dequantize=True,
            ),
            algorithm_key="float_casting",
        )
        quantize(read_model(source), rules.get_quantization_recipe(), output)


def ensure(_: Material, source: Path, output: Path) -> None:
    """There are float16 weights and the file is smaller."""
    if "float16" not in weight_types(output) or output.stat().st_size >= source.stat().st_size:
        raise StepError("float16 does not make this model smaller: it has hardly any weights in float32")


STEP = Step(
    name="litert_to_float16",
    edges=(("litert-float32", "litert-float16"),),
    run=run,
    ensure=ensure,
    packages=("ai_edge_litert", "ai_edge_quantizer"),
    systems=LITERT_SYSTEMS,
)
