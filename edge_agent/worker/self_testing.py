"""The self-test of a staged version, seen from the supervisor: one limited child per variant.

A model file can end the process that opens it, so every variant has a child of its own, and a
child that dies speaks only against its variant.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.states import FailureReason
from edge_agent.engine.accelerators import CPU, split_name
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment

ANSWER_MAX_BYTES = 1 << 20
DEFAULT_MEMORY_BYTES = 4 << 30
ENGINE_BUILD_FACTOR = 5.0
"""An accelerator may take so many times the usual time: TensorRT builds an engine, which takes minutes."""


class SelfTestRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child reads: one JSON line.

    `variants` may name accelerators (`onnx-float32@cuda`), whose built engines are kept in
    `engines_folder`. `acceptance` is the `.npz` of the model's acceptance set, "" where there is none; `minimum` its
    least score. `memory_bytes` bounds the child's address space, `timeout_s` its processor time.
    """

    package_folder: str
    digest: str
    variants: tuple[str, ...]
    acceptance: str = ""
    minimum: float = 0.0
    label_set_digest: str = ""
    timeout_s: float = 120.0
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    threads: int = 1
    engines_folder: str = ""

    def of_one(self, variant: str) -> "SelfTestRequest":
        """The request for one of its variants, with the time that its accelerator needs."""
        factor = 1.0 if split_name(variant).accelerator == CPU else ENGINE_BUILD_FACTOR
        return msgspec.structs.replace(self, variants=(variant,), timeout_s=factor * self.timeout_s)


class VariantResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one variant did on this device. `reason` is None where it passed."""

    variant: str
    reason: FailureReason | None = None
    detail: str = ""
    max_difference: float = -1.0  # -1: not measured
    tolerance: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    acceptance_score: float | None = None


class SelfTestAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the child writes: one JSON line. `chosen` is "" where no variant passed."""

    results: tuple[VariantResult, ...]
    chosen: str = ""


class SelfTestResult(NamedTuple):
    """The verdict: the fastest variant that passed, or the reason why none did."""

    chosen: str
    results: tuple[VariantResult, ...]
    reason: FailureReason | None
    detail: str


_TELLING = (
    FailureReason.ACCEPTANCE_BELOW_MINIMUM,
    FailureReason.GOLDEN_MISMATCH,
    FailureReason.TIMED_OUT,
    FailureReason.MODEL_CRASHED,
    FailureReason.NOT_TRUSTED,
    FailureReason.INCOMPATIBLE,
)
"""If every variant failed: the reason of the one that came furthest counts."""


def judge(results: Sequence[VariantResult]) -> SelfTestResult:
    """Choose the fastest of the variants that passed; the names' order settles a tie."""
    passed = [result for result in results if result.reason is None]
    if passed:
        best = min(passed, key=lambda result: (result.latency_p50_ms, result.variant))
        return SelfTestResult(best.variant, tuple(results), None, "")
    for reason in _TELLING:
        for result in results:
            if result.reason is reason:
                return SelfTestResult("", tuple(results), reason, f"{result.variant}: {result.detail}")
    reason = next((result.reason for result in results if result.reason), FailureReason.INCOMPATIBLE)
    return SelfTestResult("", tuple(results), reason, "; ".join(result.detail for result in results) or "the version has no variant")


async def run_self_test(request: SelfTestRequest, identity: ChildIdentity | None = None) -> SelfTestResult:
    """Test every variant of `request` in its own child, one after the other; a cancelled call leaves no child.

    `identity` is who the children are, None the caller.
    """
    results: list[VariantResult] = []
    for variant in request.variants:
        who = identity
        if split_name(variant).accelerator != CPU:
            who = identity.with_devices({"accelerator"}) if identity is not None else None
            _make_engines_folder(request, who)
        results.extend(await _run_child(request.of_one(variant), who))
    return judge(results)


def _make_engines_folder(request: SelfTestRequest, identity: ChildIdentity | None) -> None:
    """Owned by whoever builds engines in it; without it they are built at every start."""
    if not request.engines_folder:
        return
    with contextlib.suppress(OSError):
        Path(request.engines_folder).mkdir(parents=True, exist_ok=True)
        if identity is not None:
            os.chown(request.engines_folder, identity.uid, identity.gid)


async def _run_child(request: SelfTestRequest, identity: ChildIdentity | None) -> tuple[VariantResult, ...]:
    process = await asyncio.create_subprocess_exec(
        *child_command("self-test"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
        **spawn_options(identity),
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(msgspec.json.encode(request) + b"\n"), request.timeout_s)
    except asyncio.TimeoutError:
        return (VariantResult(request.variants[0], FailureReason.TIMED_OUT, f"no result within {request.timeout_s:g} s"),)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return read_answer(request, process.returncode or 0, output, errors)


def read_answer(request: SelfTestRequest, returncode: int, output: bytes, errors: bytes) -> tuple[VariantResult, ...]:
    """The child's results; a child that died or spoke nonsense counts as a model that crashed."""
    if returncode == 0 and len(output) <= ANSWER_MAX_BYTES:
        try:
            return msgspec.json.decode(output, type=SelfTestAnswer).results
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    how = f"signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
    last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    detail = f"the self-test's process ended with {how}: {last[0][:300]}"
    return tuple(VariantResult(variant, FailureReason.MODEL_CRASHED, detail) for variant in request.variants)
