"""The rule that chooses, and what is kept of it."""

import asyncio

import pytest

from contract.states import FailureReason
from edge_agent.home import make_home
from edge_agent.tuning import Demands, Row, build_choice, choose, forget_choice, load_choice, measure, save_choice, thread_counts
from edge_agent.worker.self_testing import SelfTestRequest, SelfTestResult, VariantResult


def row(variant: str, threads: int, p50_ms: float, *, p95_ms: float = 0.0, score: float | None = None) -> Row:
    return Row(threads, VariantResult(variant, None, "", 1e-6, 1e-4, p50_ms, p95_ms or p50_ms, score))


FLOAT, INT8 = "onnx-float32", "onnx-int8"


@pytest.mark.parametrize(
    ("rows", "demands", "best"),
    [
        ([row(FLOAT, 1, 3.0), row(INT8, 1, 2.0)], Demands(), (INT8, 1)),
        ([row(FLOAT, 1, 3.0), row(INT8, 1, 4.0)], Demands(), (FLOAT, 1)),
        ([row(FLOAT, 1, 3.0), row(FLOAT, 2, 2.5)], Demands(), (FLOAT, 1)),
        ([row(FLOAT, 1, 3.0), row(FLOAT, 2, 2.0)], Demands(), (FLOAT, 2)),
        ([row(FLOAT, 1, 4.0), row(FLOAT, 2, 2.9), row(FLOAT, 4, 2.5)], Demands(), (FLOAT, 2)),
        ([row(FLOAT, 1, 3.0, score=0.95), row(INT8, 1, 2.0, score=0.80)], Demands(minimum_score=0.9), (FLOAT, 1)),
        ([row(FLOAT, 1, 2.0, score=0.95), row(INT8, 1, 2.0, score=0.93)], Demands(), (FLOAT, 1)),
        ([row(INT8, 1, 2.05, score=0.95), row(FLOAT, 1, 2.0, score=0.93)], Demands(), (INT8, 1)),
        ([row(INT8, 1, 2.0, score=0.5), row(INT8, 2, 1.0)], Demands(minimum_score=0.9), None),
        ([row(FLOAT, 1, 3.0, p95_ms=9.0), row(INT8, 1, 3.5)], Demands(budget_ms=5.0), (INT8, 1)),
        ([row(FLOAT, 1, 6.0)], Demands(budget_ms=5.0), None),
        ([row(FLOAT, 1, 6.0), row(FLOAT, 2, 4.9)], Demands(budget_ms=5.0), (FLOAT, 2)),
        ([Row(1, VariantResult(FLOAT, FailureReason.MODEL_CRASHED, "died"))], Demands(), None),
        ([], Demands(), None),
    ],
)
def test_the_rule(rows: list[Row], demands: Demands, best: tuple[str, int] | None) -> None:
    verdict = choose(rows, demands)
    assert (None if verdict.best is None else (verdict.best.result.variant, verdict.best.threads)) == best
    assert all(verdict.refusals.values())
    if best is None:
        assert len(verdict.refusals) == len(rows)


@pytest.mark.parametrize(("processors", "counts"), [(0, (1,)), (1, (1,)), (2, (1, 2)), (4, (1, 2, 4)), (6, (1, 2, 4)), (64, (1, 2, 4, 8))])
def test_threads_to_try(processors: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(processors) == counts


def test_the_acceptance_set_is_run_once_for_a_variant_and_one_that_crashes_is_not_tried_again() -> None:
    asked: list[tuple[str, int, str]] = []

    async def test(request: SelfTestRequest) -> SelfTestResult:
        (variant,) = request.variants
        asked.append((variant, request.threads, request.acceptance))
        reason = FailureReason.MODEL_CRASHED if variant == INT8 else None
        return SelfTestResult("", (VariantResult(variant, reason, "died" if reason else ""),), reason, "")

    said: list[str] = []
    rows = asyncio.run(measure(SelfTestRequest("folder", "digest", (INT8, FLOAT), "set.npz"), (1, 2), said.append, test))
    assert asked == [(INT8, 1, "set.npz"), (FLOAT, 1, "set.npz"), (FLOAT, 2, "")]
    assert [(one.result.variant, one.threads) for one in rows] == [(INT8, 1), (FLOAT, 1), (FLOAT, 2)]
    assert said[0] == "onnx-int8, 1 thread: died"


def test_rows_that_were_measured_while_the_device_was_slowed_down_are_marked() -> None:
    async def test(request: SelfTestRequest) -> SelfTestResult:
        return SelfTestResult("", (VariantResult(*request.variants),), None, "")

    answers = iter([False, False, False, True])  # before and after each
    request = SelfTestRequest("folder", "digest", (INT8, FLOAT))
    rows = asyncio.run(measure(request, (1,), lambda _: None, test, lambda: next(answers)))
    assert [row.throttled for row in rows] == [False, True]
    assert [measured.throttled for measured in build_choice(rows, rows[0], Demands()).measured] == [False, True]


def test_choices_are_kept_by_digest_and_those_of_versions_that_are_gone_are_dropped(tmp_path) -> None:
    home = make_home(tmp_path)
    rows = [row(FLOAT, 1, 3.0, score=0.9), row(FLOAT, 2, 2.0), row(INT8, 1, 4.0, score=0.8)]
    best = choose(rows, Demands(budget_ms=5)).best
    assert best is not None
    choice = build_choice(rows, best, Demands(budget_ms=5))
    assert (choice.variant, choice.threads, choice.budget_ms) == (FLOAT, 2, 5)
    assert [(m.variant, m.threads, m.acceptance_score, m.chosen) for m in choice.measured] == [(FLOAT, 2, 0.9, True), (INT8, 1, 0.8, False)]
    for digest in ("old", "new"):
        (home.versions / digest).mkdir()
        save_choice(home, digest, choice)
    (home.versions / "old").rmdir()
    save_choice(home, "new", choice)
    assert (load_choice(home, "old"), load_choice(home, "new")) == (None, choice)
    forget_choice(home, "new")
    assert load_choice(home, "new") is None
    (home.state / "tuned.json").write_text("{{{")
    assert load_choice(home, "new") is None
