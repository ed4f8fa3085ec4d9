"""A torch network becomes a TFLite file: uint8 (1, h, w, 3) → probabilities float32 (1, C)."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from converters.errors import StepError
from converters.litert_graph import read_signature
from converters.proof import check_against_source
from converters.quiet import quiet
from converters.step import Material, Step
from converters.torch_module import example_frame, with_softmax

LITERT_SYSTEMS = (("Linux", "x86_64"), ("Darwin", "arm64"))
"""Where litert-torch and ai-edge-quantizer have wheels."""


def run(material: Material, _: Path, output: Path) -> None:
    """Convert with the cast to float as first operator, so that the file takes the frame as it is."""
    with quiet(), _loggers_kept():
        import litert_torch
        import torch

        with torch.no_grad():
            model = litert_torch.convert(with_softmax(material.source), (example_frame(material.source, torch.uint8),))
        model.export(str(output))


def ensure(material: Material, _: Path, output: Path) -> None:
    """The file answers as the module does and takes uint8."""
    signature = read_signature(output)
    if len(signature.inputs) != 1:
        raise StepError(f"the converted file takes {len(signature.inputs)} inputs, expected one frame")
    check_against_source(material, output, "litert")


@contextlib.contextmanager
def _loggers_kept() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers


STEP = Step(
    name="torch_to_litert",
    edges=(("torch", "litert-float32"),),
    run=run,
    ensure=ensure,
    packages=("torch", "litert_torch", "ai_edge_litert"),
    systems=LITERT_SYSTEMS,
)
