"""The steps of conversions, one file each; a new step is a file and a line here."""

from converters.step import Step
from converters.steps import (
    import_litert,
    import_onnx,
    join_preprocessing,
    litert_to_float16,
    onnx_to_float16,
    quantize_litert,
    quantize_litert_dynamic,
    quantize_onnx_dynamic,
    quantize_onnx_static,
    sklearn_to_onnx,
    torch_to_litert,
    torch_to_onnx,
)

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        torch_to_onnx.STEP,
        sklearn_to_onnx.STEP,
        torch_to_litert.STEP,
        import_onnx.STEP,
        import_litert.STEP,
        onnx_to_float16.STEP,
        quantize_onnx_static.STEP,
        quantize_onnx_dynamic.STEP,
        join_preprocessing.STEP,
        litert_to_float16.STEP,
        quantize_litert.STEP,
        quantize_litert_dynamic.STEP,
    )
}
"""Every step by name."""
