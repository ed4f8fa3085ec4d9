import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.errors import EvaluationError
from desktop_app.evaluation.figures import (
    calibration_bins,
    calibration_error,
    class_figures,
    confusion_counts,
    macro_f1,
    mean_log_loss,
    wilson_interval,
    worst_answers,
)

LABELS = np.array([0, 0, 1, 1, 2, 2])
SCORES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.9, 0.0], [0.1, 0.5, 0.4], [0.95, 0.0, 0.05], [0.1, 0.2, 0.7]],
    dtype=np.float32,
)


@given(count=st.integers(1, 2000), data=st.data())
def test_wilson_is_scipys(count, data) -> None:
    from scipy.stats import binomtest

    right = data.draw(st.integers(0, count))
    expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_at_the_edges() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 10)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0
    assert wilson_interval(264, 270) == pytest.approx((0.9524, 0.9898), abs=1e-4)


def test_rows_of_the_confusion_are_true_classes() -> None:
    assert confusion_counts(LABELS, SCORES.argmax(1), 3) == ((1, 1, 0), (0, 2, 0), (1, 0, 1))


def test_figures_of_each_class() -> None:
    figures = class_figures(LABELS, SCORES.argmax(1), ("a", "b", "c"))
    assert (figures["b"].precision, figures["b"].recall, figures["b"].support) == pytest.approx((2 / 3, 1.0, 2))
    assert macro_f1(figures) == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)


def test_a_class_that_does_not_occur_counts_nothing() -> None:
    figures = class_figures(LABELS, SCORES.argmax(1), ("a", "b", "c", "d"))
    assert (figures["d"].support, figures["d"].recall) == (0, 0.0)
    assert macro_f1(figures) == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert macro_f1({}) == 0.0


def test_log_loss_takes_scores_that_do_not_sum_to_one() -> None:
    exact = -np.log(SCORES[range(6), LABELS].astype(float)).mean()
    assert mean_log_loss(SCORES, LABELS) == pytest.approx(exact, rel=1e-5)
    assert mean_log_loss(SCORES * 3, LABELS) == pytest.approx(exact, rel=1e-5)
    assert mean_log_loss(np.zeros((1, 4)), np.array([1])) == pytest.approx(np.log(4))


@pytest.mark.parametrize("seed", range(5))
def test_the_calibration_error_is_that_of_torchmetrics(seed) -> None:
    import torch

    import desktop_app.training.lightning_imports  # noqa: F401  (torchmetrics is imported as training imports it)

    # isort: split
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(4) * 0.7, 300).astype(np.float32)
    labels = rng.integers(0, 4, 300)
    expected = multiclass_calibration_error(torch.from_numpy(scores), torch.from_numpy(labels), num_classes=4, n_bins=15, norm="l1")
    bins = calibration_bins(scores, labels)
    assert calibration_error(bins) == pytest.approx(float(expected), abs=1e-5)
    assert sum(entry.count for entry in bins) == 300
    assert calibration_error(()) == 0.0


@pytest.mark.parametrize("wrong", [-0.5, np.inf])
def test_scores_that_are_no_probabilities_are_refused(wrong) -> None:
    with pytest.raises(EvaluationError, match="no probabilities"), np.errstate(invalid="ignore"):
        mean_log_loss(np.array([[0.9, wrong], [0.5, 0.5]]), np.array([0, 1]))


def test_the_worst_answers_are_the_surest_wrong_ones() -> None:
    worst = worst_answers(SCORES, LABELS)
    assert [(entry.sample, entry.predicted) for entry in worst] == [(4, 0), (1, 1)]
    assert worst[0].score == pytest.approx(0.95)
    assert worst_answers(SCORES, LABELS, limit=1) == worst[:1]
