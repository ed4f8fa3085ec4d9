"""The self-test's child: `python -m edge_agent.worker.self_test`, one JSON request in, one JSON answer out.

Golden samples show that this device computes what the desk computed; the acceptance set shows that
the version is any good. It runs with limits, so a hostile or broken model ends only this process.
"""

import contextlib
import logging
import math
import os
import sys
import time
from pathlib import Path

import msgspec
import numpy as np

from contract.acceptance import label_set_digest
from contract.errors import ContractError
from contract.package import Package, open_installed_version
from contract.states import FailureReason
from edge_agent.engine.accelerators import CPU, Placement, split_name
from edge_agent.engine.engine import Engine, Sample, open_engine
from edge_agent.engine.errors import EngineError, InferenceError, InputError
from edge_agent.engine.golden import GoldenResult, GoldenSample, check_golden, load_acceptance, load_golden, score_acceptance
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import claim_stdout, end_with_parent
from edge_agent.worker.self_testing import SelfTestAnswer, SelfTestRequest, VariantResult, judge

REQUEST_MAX_BYTES = 1 << 20
MEASURE_RUNS = 60
MEASURE_S = 2.0
_OPEN_FILES = 256
_ENGINE_MAX_BYTES = 1 << 30


def main() -> None:
    """Entry point of the child."""
    end_with_parent()
    confine()
    channel = claim_stdout()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    request = msgspec.json.decode(sys.stdin.buffer.readline(REQUEST_MAX_BYTES), type=SelfTestRequest)
    limit_resources(request)
    results = check_variants(request)
    answer = SelfTestAnswer(results, judge(results).chosen)
    with os.fdopen(channel, "wb") as file:
        file.write(msgspec.json.encode(answer) + b"\n")


def limit_resources(request: SelfTestRequest) -> None:
    """Bound memory, processor time, files; no core dump, no writing. Where the system has no such limits: nothing.

    A driver maps far more addresses than it uses, and a built engine is a file: on an accelerator these two limits are others.
    """
    try:
        import resource
    except ImportError:
        return
    on_cpu = all(split_name(name).accelerator == CPU for name in request.variants)
    seconds = math.ceil(request.timeout_s) + 1
    limits = (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, request.memory_bytes if on_cpu else resource.RLIM_INFINITY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0 if on_cpu else _ENGINE_MAX_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    )
    for kind, limit in limits:
        _, hard = resource.getrlimit(kind)
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (bound, bound))


def check_variants(request: SelfTestRequest) -> tuple[VariantResult, ...]:
    """Every asked variant's result; an error of one is a result, never an exception."""
    try:
        package = open_installed_version(Path(request.package_folder), request.digest)
        golden = load_golden(package.path_of(package.manifest.golden), package.manifest)
    except (ContractError, EngineError, OSError) as error:
        reason = FailureReason.GOLDEN_MISMATCH if isinstance(error, EngineError) else FailureReason.NOT_TRUSTED
        return tuple(VariantResult(variant, reason, str(error)) for variant in request.variants)
    return tuple(_test_variant(request, package, golden, variant) for variant in request.variants)


def _test_variant(request: SelfTestRequest, package: Package, golden: list[GoldenSample], variant: str) -> VariantResult:
    try:
        name = split_name(variant).variant
        placement = Placement(request.threads, engines_folder=Path(request.engines_folder) if request.engines_folder else None)
        with open_engine(package, variant, placement) as engine:
            result = check_golden(engine, golden, name, package.manifest.variants[name])
            found = _measured(variant, result, measure_latency(engine, [sample.inputs for sample in golden]))
            if not result.passed:
                detail = f"differs from the desk by {result.max_difference:.3g}, at most {result.tolerance:.3g} is allowed"
                return msgspec.structs.replace(found, reason=FailureReason.GOLDEN_MISMATCH, detail=detail)
            return _accept(request, package, engine, found)
    except InferenceError as error:
        return VariantResult(variant, FailureReason.MODEL_CRASHED, str(error))
    except MemoryError:
        return VariantResult(
            variant, FailureReason.MODEL_CRASHED, f"needs more memory than the {request.memory_bytes} bytes that are allowed"
        )
    except EngineError as error:
        return VariantResult(variant, FailureReason.INCOMPATIBLE, str(error))


def _measured(variant: str, result: GoldenResult, latencies_ms: np.ndarray) -> VariantResult:
    difference = result.max_difference if math.isfinite(result.max_difference) else sys.float_info.max
    return VariantResult(
        variant,
        max_difference=difference,
        tolerance=result.tolerance,
        latency_p50_ms=round(float(np.percentile(latencies_ms, 50)), 4),
        latency_p95_ms=round(float(np.percentile(latencies_ms, 95)), 4),
    )


def measure_latency(engine: Engine, samples: list[Sample]) -> np.ndarray:
    """Milliseconds of up to 60 warm inferences within two seconds; at least one.

    Raises:
        InferenceError: the runtime failed.
    """
    latencies: list[float] = []
    deadline = time.monotonic() + MEASURE_S
    while len(latencies) < MEASURE_RUNS and (not latencies or time.monotonic() < deadline):
        latencies.append(engine.predict(samples[len(latencies) % len(samples)]).latency_us / 1000)
    return np.array(latencies)


def _accept(request: SelfTestRequest, package: Package, engine: Engine, found: VariantResult) -> VariantResult:
    """Run the acceptance set, where there is one."""
    if not request.acceptance:
        return found
    if request.label_set_digest and request.label_set_digest != label_set_digest(package.manifest.labels):
        detail = "the acceptance set is for another label set than the version's"
        return msgspec.structs.replace(found, reason=FailureReason.ACCEPTANCE_BELOW_MINIMUM, detail=detail)
    try:
        samples, labels = load_acceptance(Path(request.acceptance), engine.spec)
    except InputError as error:
        return msgspec.structs.replace(found, reason=FailureReason.INCOMPATIBLE, detail=f"the acceptance set can not be used: {error}")
    score = score_acceptance(engine, samples, labels)
    found = msgspec.structs.replace(found, acceptance_score=score)
    if score < request.minimum:
        detail = f"answers {score:.1%} of the {len(samples)} acceptance samples rightly, at least {request.minimum:.1%} are needed"
        return msgspec.structs.replace(found, reason=FailureReason.ACCEPTANCE_BELOW_MINIMUM, detail=detail)
    return found


if __name__ == "__main__":
    main()
