"""Golden samples: raw inputs with what every variant of a version answered on the desk, and how far a device may be off."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from contract.files import write_atomic
from contract.manifest import Variant, golden_input_key, golden_output_key
from converters.calibration import choose_stratified
from converters.parity import tolerance
from edge_agent.engine.engine import open_variant
from edge_agent.engine.model_spec import SCORES, ModelSpec

GOLDEN_COUNT = 16
CANDIDATE_COUNT = 96
SURE_MARGIN = 0.1


class Candidates(NamedTuple):
    """Raw inputs, their labels' indices, and by variant every named output of each."""

    samples: Sequence[Mapping[str, np.ndarray]]
    labels: Sequence[int]
    outputs: Mapping[str, Sequence[Mapping[str, np.ndarray]]]


def answer_all(
    folder: Path, variants: Mapping[str, Variant], spec: ModelSpec, samples: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, list[dict[str, np.ndarray]]]:
    """Named outputs of every variant for every sample, through the engine that devices use."""
    answers = {}
    for name, variant in variants.items():
        with open_variant(folder / variant.file, variant, spec) as engine:
            answers[name] = [engine.run(sample) for sample in samples]
    return answers


def choose_golden(candidates: Candidates, reference: str, count: int = GOLDEN_COUNT) -> list[int]:
    """Indices of `count` candidates, as many of each class as possible, on which all variants are sure of the same answer.

    On a sample at the edge between two classes a device's rounding moves scores the most, which
    would widen the tolerance for all. Unsure ones are taken only where sure ones do not suffice.
    """
    wanted = [_answer(outputs) for outputs in candidates.outputs[reference]]
    sure = [i for i in range(len(candidates.samples)) if all(_sure(rows[i], wanted[i]) for rows in candidates.outputs.values())]
    chosen = [sure[k] for k in choose_stratified([candidates.labels[i] for i in sure], count)]
    rest = [i for i in range(len(candidates.samples)) if i not in set(chosen)]
    return sorted([*chosen, *rest[: count - len(chosen)]])


def _answer(outputs: Mapping[str, np.ndarray]) -> int:
    return int(outputs[SCORES].argmax())


def _sure(outputs: Mapping[str, np.ndarray], wanted: int) -> bool:
    scores = outputs[SCORES]
    highest = np.sort(scores)[-2:]
    return int(scores.argmax()) == wanted and float(highest[-1] - highest[0]) >= SURE_MARGIN


def with_golden_tolerance(variant: Variant, name: str, reference: str, golden: Candidates) -> Variant:
    """The variant with the tolerance that its distance from the reference on the golden samples suggests."""
    pairs = zip(golden.outputs[reference], golden.outputs[name], strict=True)
    largest = max((float(np.max(np.abs(a[SCORES] - b[SCORES]))) for a, b in pairs), default=0.0)
    return msgspec.structs.replace(variant, tolerance=tolerance(variant.precision, largest))


def pick(candidates: Candidates, indices: Sequence[int]) -> Candidates:
    """Only the candidates with these indices."""
    outputs = {name: [rows[i] for i in indices] for name, rows in candidates.outputs.items()}
    return Candidates([candidates.samples[i] for i in indices], [candidates.labels[i] for i in indices], outputs)


def write_golden(path: Path, golden: Candidates) -> None:
    """Write `golden.npz`: plain arrays by the contract's keys, the same bytes for the same content."""
    arrays: dict[str, np.ndarray] = {}
    for index, inputs in enumerate(golden.samples):
        arrays |= {golden_input_key(index, name): array for name, array in inputs.items()}
        for variant, rows in golden.outputs.items():
            arrays |= {golden_output_key(index, variant, name): array for name, array in rows[index].items()}
    write_arrays(path, arrays)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an `.npz`, all or nothing."""
    buffer = io.BytesIO()
    np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # names are free
    write_atomic(path, buffer.getvalue())
