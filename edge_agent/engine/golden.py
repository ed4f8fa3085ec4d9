"""Golden samples and acceptance sets: does this machine compute what the desk computed, and is the version any good?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contract.manifest import Manifest, Variant, golden_output_key
from edge_agent.engine.engine import Engine, Sample
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.sample_files import collect_samples, read_arrays

GOLDEN_MAX_BYTES = 256 << 20
ACCEPTANCE_MAX_BYTES = 512 << 20


class GoldenSample(NamedTuple):
    """Raw inputs of one sample, and by variant the named outputs that the desk computed."""

    inputs: dict[str, np.ndarray]
    outputs_by_variant: dict[str, dict[str, np.ndarray]]


class GoldenResult(NamedTuple):
    """How far this machine is from the desk: `differences` holds the largest one of each sample."""

    max_difference: float
    passed: bool
    tolerance: float
    differences: tuple[float, ...]
    latencies_us: tuple[float, ...]


def load_golden(path: Path, manifest: Manifest) -> list[GoldenSample]:
    """The golden samples of a package.

    Raises:
        InputError: the file is broken, or holds another number of samples or other outputs than the manifest says.
    """
    arrays = read_arrays(path, GOLDEN_MAX_BYTES)
    samples = collect_samples(arrays, manifest.inputs, path.name)
    if len(samples) != manifest.golden_count:
        raise InputError(f"{path.name} holds {len(samples)} golden samples, the manifest says {manifest.golden_count}")
    return [GoldenSample(sample, _outputs(arrays, index, manifest)) for index, sample in enumerate(samples)]


def _outputs(arrays: Mapping[str, np.ndarray], index: int, manifest: Manifest) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for variant in manifest.variants:
        keys = {spec.name: golden_output_key(index, variant, spec.name) for spec in manifest.outputs}
        missing = [key for key in keys.values() if key not in arrays]
        if missing:
            raise InputError(f"the golden samples lack {missing[0]}")
        found[variant] = {name: arrays[key] for name, key in keys.items()}
    return found


def check_golden(engine: Engine, samples: Sequence[GoldenSample], variant_name: str, variant: Variant) -> GoldenResult:
    """Run every golden sample and compare each output with the desk's.

    `passed` needs at least one sample and every difference at or below the variant's tolerance; an
    output that is not finite, or of another shape, never passes.

    Raises:
        InferenceError: the runtime failed.
    """
    differences, latencies = [], []
    for sample in samples:
        prediction = engine.predict(sample.inputs)
        latencies.append(prediction.latency_us)
        differences.append(
            max(_difference(prediction.outputs.get(name), wanted) for name, wanted in sample.outputs_by_variant[variant_name].items())
        )
    largest = max(differences, default=float("inf"))
    return GoldenResult(largest, largest <= variant.tolerance, variant.tolerance, tuple(differences), tuple(latencies))


def _difference(found: np.ndarray | None, wanted: np.ndarray) -> float:
    if found is None or found.shape != wanted.shape:
        return float("inf")
    if wanted.dtype.kind not in "fiub":
        return 0.0 if bool((found == wanted).all()) else float("inf")
    if not wanted.size:
        return 0.0
    distance = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max())
    return distance if np.isfinite(distance) else float("inf")


def load_acceptance(path: Path, spec: ModelSpec, max_bytes: int = ACCEPTANCE_MAX_BYTES) -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    """Samples and labels, int64 (N,), of an acceptance set's `.npz`.

    Raises:
        InputError: the file is broken, or samples and labels do not fit each other or the model.
    """
    arrays = read_arrays(path, max_bytes)
    labels = arrays.get("labels")
    samples = collect_samples(arrays, spec.inputs, path.name)
    if labels is None or labels.dtype != np.int64 or labels.shape != (len(samples),) or not samples:
        raise InputError(f"{path.name} needs labels as int64 ({len(samples)},) beside at least one sample")
    if labels.min() < 0 or labels.max() >= len(spec.labels):
        raise InputError(f"{path.name} has a label outside 0 to {len(spec.labels) - 1}")
    return samples, labels


def score_acceptance(engine: Engine, samples: Sequence[Sample], labels: np.ndarray) -> float:
    """Share of the samples that the engine answers rightly, 0 to 1.

    Raises:
        InferenceError: the runtime failed.
    """
    right = sum(engine.predict(sample).index == int(label) for sample, label in zip(samples, labels, strict=True))
    return right / len(samples)
