"""From a request to a warm engine: the installed version checked, opened, and run on its golden samples."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from contract.codec import decode
from contract.files import read_bounded
from contract.package import Package, open_installed_version
from contract.reference import REFERENCE_MAX_BYTES, Reference
from edge_agent.engine.engine import Engine, open_variant
from edge_agent.engine.golden import GoldenSample, load_golden
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.worker.messages import WorkerRequest

WARM_UP_SAMPLES = 4
WARM_UP_RUNS = 8
WARM_UP_LEAST = 2
WARM_UP_S = 0.3


class OpenedModel(NamedTuple):
    """What a worker holds. `latency_us` is the least of the warm-up: what an inference costs when nothing disturbs it."""

    package: Package
    engine: Engine
    golden: list[GoldenSample]
    reference: Reference
    latency_us: float


def open_model(request: WorkerRequest) -> OpenedModel:
    """Check, open and warm up; an application's thresholds replace the model's.

    Raises:
        ContractError: the version is not what its digest says.
        EngineError: the variant can not be opened or does not run.
        OSError: a file can not be read.
    """
    package = open_installed_version(Path(request.package_folder), request.digest)
    manifest = package.manifest
    spec = ModelSpec.of(manifest)
    if request.application is not None and request.application.thresholds:
        spec = replace(spec, thresholds={**spec.thresholds, **request.application.thresholds})
    if request.variant not in manifest.variants:
        raise KeyError(request.variant)
    engine = open_variant(package.variant_path(request.variant), manifest.variants[request.variant], spec, request.threads)
    golden = load_golden(package.path_of(manifest.golden), manifest)[:WARM_UP_SAMPLES]
    reference = decode(
        read_bounded(package.path_of(manifest.reference), REFERENCE_MAX_BYTES), Reference, "the drift reference", REFERENCE_MAX_BYTES
    )
    return OpenedModel(package, engine, golden, reference, warm_up(engine, golden))


def warm_up(engine: Engine, golden: Sequence[GoldenSample]) -> float:
    """Run golden samples, at least two for up to 0.3 s; returns the least latency in microseconds.

    Raises:
        InferenceError: the runtime failed.
    """
    latencies: list[float] = []
    deadline = time.monotonic() + WARM_UP_S
    for index in range(WARM_UP_RUNS if golden else 0):
        if index >= WARM_UP_LEAST and time.monotonic() > deadline:
            break
        latencies.append(engine.predict(golden[index % len(golden)].inputs).latency_us)
    return min(latencies, default=0.0)
