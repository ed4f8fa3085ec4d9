"""A TFLite file from elsewhere, in floating point, is taken as it is; a signature is added where it has none."""

from pathlib import Path

from contract.files import write_atomic
from converters.errors import SourceError, StepError
from converters.litert_graph import read_model, read_signature, weight_types, with_signature
from converters.quiet import quiet
from converters.sources import FileSource
from converters.step import Material, Step

_QUANTIZED = {"int8", "int16", "float16"}


def run(material: Material, _: Path, output: Path) -> None:
    """Copy a file in floating point."""
    source = material.source
    if not isinstance(source, FileSource):
        raise StepError(f"this step takes a TFLite file, got {source.format}")
    with quiet():
        found = weight_types(source.path) & _QUANTIZED
        data = with_signature(read_model(source.path))
    if found:
        raise SourceError(f"{source.path.name} is quantized already ({min(found)})", "Give the floating point file it was made from")
    write_atomic(output, data)


def ensure(_: Material, __: Path, output: Path) -> None:
    """The file loads and has a signature."""
    with quiet():
        read_signature(output)


STEP = Step(
    name="import_litert",
    edges=(("tflite", "litert-float32"),),
    run=run,
    ensure=ensure,
    packages=("ai_edge_litert",),
)
