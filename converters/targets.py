"""The target formats: which runtime, at which precision, quantized how."""

from typing import NamedTuple

from converters.errors import ConversionError


class Target(NamedTuple):
    """One kind of variant; the fields are those of `contract.manifest.Variant`."""

    runtime: str
    precision: str
    quantization: str
    suffix: str


TARGETS: dict[str, Target] = {
    "onnx-float32": Target("onnx", "float32", "none", ".onnx"),
    "onnx-float16": Target("onnx", "float16", "none", ".onnx"),
    "onnx-int8": Target("onnx", "int8", "static", ".onnx"),
    "onnx-int8-dynamic": Target("onnx", "int8", "dynamic", ".onnx"),
    "litert-float32": Target("litert", "float32", "none", ".tflite"),
    "litert-float16": Target("litert", "float16", "none", ".tflite"),
    "litert-int8": Target("litert", "int8", "static", ".tflite"),
    "litert-int8-dynamic": Target("litert", "int8", "dynamic", ".tflite"),
}


def file_name(target: str) -> str:
    """Name of a variant's file, in a conversion's folder and in a package."""
    return target + TARGETS[target].suffix


def check_targets(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """The names without repetition, in their order.

    Raises:
        ConversionError: none is given, or one is unknown.
    """
    unknown = [name for name in names if name not in TARGETS]
    if unknown or not names:
        asked = f"{unknown[0]!r} is not a target format" if unknown else "no target format is named"
        raise ConversionError(asked, f"Choose from {', '.join(TARGETS)}")
    return tuple(dict.fromkeys(names))
