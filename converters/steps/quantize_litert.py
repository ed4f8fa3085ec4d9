"""Static int8 quantization of a TFLite file: int8 inside, the input as it was, the output in float32."""

import re
from pathlib import Path
from typing import Any

from converters.calibration import true_ranges, with_extremes
from converters.errors import StepError
from converters.litert_graph import normalisation_tensors, quantize, read_model, read_signature, weight_types
from converters.preprocessing import network_inputs
from converters.quiet import quiet
from converters.step import Material, Step
from converters.steps.torch_to_litert import LITERT_SYSTEMS
from edge_agent.engine.runtimes import open_session


def run(material: Material, source: Path, output: Path) -> None:
    """Calibrate by true ranges over the samples plus a black and a white one, then quantize."""
    data = read_model(source)
    samples = with_extremes(material.calibration, material.source.spec.inputs)
    with quiet():
        signature = read_signature(source)
        session = open_session("litert", source, 1)
        dtype = session.inputs[0].dtype
        session.close()
        feeds = [dict(zip(signature.inputs, feed.values(), strict=True)) for feed in network_inputs(material, samples, dtype)]
        recipe = static_recipe(data)
        quantize(data, recipe, output, true_ranges(data, signature.key, feeds, recipe))


def static_recipe(data: bytes) -> Any:  # noqa: ANN401  (the library has no types)
    """int8 weights and activations; inputs, outputs and the normalisation stay in floating point."""
    from ai_edge_quantizer import qtyping, quantizer, recipe

    rules = quantizer.Quantizer(data, recipe.static_wi8_ai8())
    for operation in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
        rules.update_quantization_recipe(regex=".*", operation_name=operation, algorithm_key="no_quantize")
    for name in normalisation_tensors(data):
        rules.update_quantization_recipe(
            regex=f"^{re.escape(name)};?$", operation_name=qtyping.TFLOperationName.ALL_SUPPORTED, algorithm_key="no_quantize"
        )
    return rules.get_quantization_recipe()


def ensure(_: Material, source: Path, output: Path) -> None:
    """There are int8 tensors, and inputs and outputs are as before."""
    if "int8" not in weight_types(output):
        raise StepError("the quantizer left every operator in floating point")
    with quiet():
        before, after = open_session("litert", source, 1), open_session("litert", output, 1)
        same = [t.dtype for t in (*before.inputs, *before.outputs)] == [t.dtype for t in (*after.inputs, *after.outputs)]
        before.close()
        after.close()
    if not same:
        raise StepError("quantization changed the type of the inputs or outputs")


STEP = Step(
    name="quantize_litert",
    edges=(("litert-float32", "litert-int8"),),
    run=run,
    ensure=ensure,
    packages=("ai_edge_litert", "ai_edge_quantizer"),
    systems=LITERT_SYSTEMS,
    needs_calibration=True,
)
