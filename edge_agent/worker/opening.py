"""From a request to a warm engine: the installed version checked, opened, and run on its golden samples."""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from contract.codec import decode
from contract.files import read_bounded
from contract.package import Package, open_installed_version
from contract.reference import REFERENCE_MAX_BYTES, Reference
from edge_agent.engine.engine import Engine, open_variant
from edge_agent.engine.golden import GoldenResult, GoldenSample, check_golden, load_golden
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.worker.messages import WorkerRequest

WARM_UP_SAMPLES = 4


class OpenedModel(NamedTuple):
    """What a worker holds. `latency_us` is the median of the warm-up after its first inference."""

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
    result = check_golden(engine, golden, request.variant, manifest.variants[request.variant])
    return OpenedModel(package, engine, golden, reference, warm_latency_us(result))


def warm_latency_us(result: GoldenResult) -> float:
    """Median without the first inference, which pays for memory and caches."""
    return statistics.median(result.latencies_us[1:] or result.latencies_us or (0.0,))
