import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from contract.acceptance import label_set_digest
from contract.package import Package
from contract.signing import PrivateKey
from contract.states import FailureReason
from edge_agent.worker.self_testing import SelfTestRequest, VariantResult, judge, run_self_test
from tests.simulators.packages import labels_of, make_acceptance, make_package


@pytest.fixture(scope="module")
def acceptance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("acceptance")
    make_acceptance(folder)
    return folder / "acceptance.npz"


def request_for(package: Package, acceptance: Path | None = None, **changes: object) -> SelfTestRequest:
    request = SelfTestRequest(
        str(package.folder), package.digest, tuple(package.manifest.variants), str(acceptance or ""), 0.9, timeout_s=20
    )
    return msgspec.structs.replace(request, **changes)  # type: ignore[arg-type]


def test_a_good_version_passes_with_every_variant_measured(package: Package, acceptance: Path) -> None:
    result = asyncio.run(run_self_test(request_for(package, acceptance, label_set_digest=label_set_digest(labels_of(3)))))
    assert result.reason is None
    assert {row.variant for row in result.results} == {"onnx-float32", "litert-float32"}
    for row in result.results:
        assert (row.acceptance_score, row.reason) == (1.0, None)
        assert 0 <= row.max_difference <= row.tolerance
        assert 0 < row.latency_p50_ms <= row.latency_p95_ms
    assert result.chosen == min(result.results, key=lambda row: row.latency_p50_ms).variant


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("bad", FailureReason.ACCEPTANCE_BELOW_MINIMUM, r"0.0% of the 30 acceptance samples rightly, at least 90.0%"),
        ("wrong-golden", FailureReason.GOLDEN_MISMATCH, "differs from the desk by"),
        ("crash", FailureReason.MODEL_CRASHED, "signal 8"),
    ],
)
def test_a_version_that_fails_says_how(
    tmp_path: Path, key: PrivateKey, acceptance: Path, *, kind: str, reason: FailureReason, words: str
) -> None:
    package = make_package(tmp_path / kind, key=key, kind=kind)
    result = asyncio.run(run_self_test(request_for(package, acceptance)))
    assert (result.chosen, result.reason) == ("", reason)
    assert re.search(words, result.detail), result.detail


def test_without_an_acceptance_set_a_bad_version_can_not_be_told(tmp_path: Path, key: PrivateKey) -> None:
    package = make_package(tmp_path / "bad", key=key, kind="bad")
    result = asyncio.run(run_self_test(request_for(package)))
    assert result.chosen == "onnx-float32"
    assert result.results[0].acceptance_score is None


def test_another_label_set_and_another_digest_are_refused(package: Package, acceptance: Path) -> None:
    other = asyncio.run(run_self_test(request_for(package, acceptance, label_set_digest="0" * 64)))
    assert other.reason is FailureReason.ACCEPTANCE_BELOW_MINIMUM
    assert "another label set" in other.detail
    changed = asyncio.run(run_self_test(request_for(package, digest="0" * 64)))
    assert changed.reason is FailureReason.NOT_TRUSTED


def test_a_slow_version_is_stopped_at_its_time(tmp_path: Path, key: PrivateKey) -> None:
    package = make_package(tmp_path / "slow", key=key, kind="slow")
    result = asyncio.run(run_self_test(request_for(package, timeout_s=0.2)))
    assert result.reason is FailureReason.TIMED_OUT


def test_a_model_that_needs_more_memory_than_allowed_ends_only_its_child(package: Package) -> None:
    result = asyncio.run(run_self_test(request_for(package, memory_bytes=128 << 20)))
    assert result.reason is FailureReason.MODEL_CRASHED


def test_one_variant_that_dies_leaves_the_others_a_chance() -> None:
    crashed = VariantResult("litert-int8", FailureReason.MODEL_CRASHED, "signal 11")
    slow = VariantResult("onnx-float32", latency_p50_ms=2.0)
    fast = VariantResult("onnx-int8", latency_p50_ms=1.0)
    assert judge([crashed, slow, fast]).chosen == "onnx-int8"
    mismatch = VariantResult("onnx-int8", FailureReason.GOLDEN_MISMATCH, "differs")
    assert judge([crashed, mismatch]).reason is FailureReason.GOLDEN_MISMATCH
    assert judge([]).reason is FailureReason.INCOMPATIBLE
