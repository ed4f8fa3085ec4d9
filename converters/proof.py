"""Proof that a float32 file answers as the model it came from does."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from converters.errors import StepError
from converters.preprocessing import FRAME, network_inputs, resized
from converters.quiet import quiet
from converters.samples import Sample
from converters.sources import TorchSource
from converters.step import Material
from converters.torch_module import with_softmax
from edge_agent.engine.runtimes import SessionTensor, open_session

FLOAT32_TOLERANCE = 1e-4
PROOF_COUNT = 8


def check_against_source(material: Material, file: Path, runtime: str) -> None:
    """Compare a network file with its torch module on some calibration samples (or noise where there are none).

    Raises:
        StepError: an output differs by more than 1e-4.
    """
    source = material.source
    if not isinstance(source, TorchSource):
        return
    samples = list(material.calibration[:PROOF_COUNT]) or _noise(source.input_size)
    expected = torch_scores(source, samples)
    with quiet(), contextlib.closing(open_session(runtime, file)) as session:
        found = [session.run(feed)[0] for feed in network_inputs(material, samples, session.inputs)]
    check_difference(expected, np.concatenate(found), file.name)


def file_inputs(runtime: str, file: Path) -> tuple[SessionTensor, ...]:
    """The inputs that a model file declares."""
    with quiet(), contextlib.closing(open_session(runtime, file)) as session:
        return session.inputs


def file_outputs(runtime: str, file: Path) -> tuple[SessionTensor, ...]:
    """The outputs that a model file declares."""
    with quiet(), contextlib.closing(open_session(runtime, file)) as session:
        return session.outputs


def torch_scores(source: TorchSource, samples: Sequence[Sample]) -> np.ndarray:
    """Probabilities (N, C) float32 that the torch module itself gives for raw samples."""
    import torch

    module = with_softmax(source)
    with torch.no_grad():
        frames = resized((sample[FRAME] for sample in samples), source.input_size)
        scores = [module(torch.from_numpy(frame)).numpy() for frame in frames]
    return np.concatenate(scores)


def check_difference(expected: np.ndarray, found: np.ndarray, name: str, tolerance: float = FLOAT32_TOLERANCE) -> None:
    """Compare outputs.

    Raises:
        StepError: they differ in shape or by more than `tolerance`.
    """
    if expected.shape != found.shape:
        raise StepError(f"{name} gives outputs of shape {found.shape}, the source gives {expected.shape}")
    worst = float(np.max(np.abs(expected - found)))
    if not worst <= tolerance:
        raise StepError(f"{name} differs from its source by {worst:.2g}, at most {tolerance:.0e} is accepted")


def _noise(size: tuple[int, int]) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [{"frame": rng.integers(0, 256, (*size, 3), dtype=np.uint8)} for _ in range(4)]
