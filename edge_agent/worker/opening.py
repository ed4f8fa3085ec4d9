"""From a request to a warm engine: the installed version checked, opened, and run on its golden samples."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from contract.codec import decode
from contract.files import read_bounded
from contract.package import Package, open_installed_version
from contract.reference import REFERENCE_MAX_BYTES, Reference
from edge_agent.engine.accelerators import CPU, Placement, split_name
from edge_agent.engine.engine import Engine, open_variant
from edge_agent.engine.errors import EngineError
from edge_agent.engine.golden import GoldenSample, load_golden
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.worker.messages import WorkerRequest

WARM_UP_SAMPLES = 4
WARM_UP_RUNS = 8
WARM_UP_LEAST = 2
WARM_UP_S = 0.3

log = logging.getLogger(__name__)


class OpenedModel(NamedTuple):
    """What a worker holds.

    `variant` is what was opened. `latency_us` is the least of the warm-up: what an inference costs when nothing disturbs it.
    """

    package: Package
    engine: Engine
    golden: list[GoldenSample]
    reference: Reference
    latency_us: float
    variant: str


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
    if split_name(request.variant).variant not in manifest.variants:
        raise KeyError(request.variant)
    golden = load_golden(package.path_of(manifest.golden), manifest)[:WARM_UP_SAMPLES]
    name, engine, latency_us = _open_warm(request, package, spec, golden)
    reference = decode(
        read_bounded(package.path_of(manifest.reference), REFERENCE_MAX_BYTES), Reference, "the drift reference", REFERENCE_MAX_BYTES
    )
    return OpenedModel(package, engine, golden, reference, latency_us, name)


def _open_warm(request: WorkerRequest, package: Package, spec: ModelSpec, golden: Sequence[GoldenSample]) -> tuple[str, Engine, float]:
    """As asked; where that is an accelerator that can not be used any more (another driver), on the CPU: slow serves better than not."""
    variant, accelerator = split_name(request.variant)

    def on(place: str) -> tuple[Engine, float]:
        placement = Placement(request.threads, place, Path(request.engines_folder) if request.engines_folder else None)
        engine = open_variant(package.variant_path(variant), package.manifest.variants[variant], spec, placement)
        return engine, warm_up(engine, golden)

    if accelerator != CPU:
        try:
            return (request.variant, *on(accelerator))
        except EngineError as error:
            log.warning("The model runs on the CPU: %s", error)
    return (variant, *on(CPU))


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
