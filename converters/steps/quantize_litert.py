"""Static int8 quantization of a TFLite file: int8 inside, the input as it was, the output in float32."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import true_ranges, with_extremes
from converters.errors import StepError
from converters.litert_graph import Signature, normalisation_tensors, quantize, read_model, read_signature, weight_types
from converters.preprocessing import network_inputs
from converters.proof import file_inputs, file_outputs
from converters.quiet import quiet
from converters.step import Material, Step
from converters.steps.torch_to_litert import LITERT_SYSTEMS


def run(material: Material, source: Path, output: Path) -> None:
    """Calibrate by true ranges over the samples plus a black and a white one, then quantize."""
    data = read_model(source)
    samples = with_extremes(material.calibration, material.source.spec.inputs)
    with quiet():
        signature = read_signature(source)
        feeds = [_by_signature(feed, signature) for feed in network_inputs(material, samples, file_inputs("litert", source))]
        recipe = static_recipe(data)
        quantize(data, recipe, output, true_ranges(data, signature.key, feeds, recipe))


def _by_signature(feed: Mapping[str, np.ndarray], signature: Signature) -> dict[str, np.ndarray]:
    """A feed under the names of the signature's inputs, which are other names than those of the tensors."""
    if len(feed) == 1 == len(signature.inputs):
        return {signature.inputs[0]: next(iter(feed.values()))}
    if sorted(feed) != sorted(signature.inputs):
        raise StepError(f"the signature's inputs {sorted(signature.inputs)} are not the file's {sorted(feed)}")
    return dict(feed)


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
    before, after = (_types(path) for path in (source, output))
    if before != after:
        raise StepError("quantization changed the type of the inputs or outputs")


def _types(file: Path) -> list[str]:
    return [tensor.dtype for tensor in (*file_inputs("litert", file), *file_outputs("litert", file))]


STEP = Step(
    name="quantize_litert",
    edges=(("litert-float32", "litert-int8"),),
    run=run,
    ensure=ensure,
    packages=("ai_edge_litert", "ai_edge_quantizer"),
    systems=LITERT_SYSTEMS,
    needs_calibration=True,
)
