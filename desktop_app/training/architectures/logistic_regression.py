"""Logistic regression: the baseline that everything else has to beat, and the easiest to explain."""

from collections.abc import Mapping
from typing import Any

from desktop_app.training.architecture import ESTIMATOR, Architecture, Option
from desktop_app.training.recipe import OptionValue


def build(options: Mapping[str, OptionValue], *, seed: int, threads: int) -> Any:  # noqa: ANN401, ARG001
    """An unfitted classifier."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=float(options["inverse_penalty"]), max_iter=int(options["iterations"]), random_state=seed)


ARCHITECTURE = Architecture(
    name="logistic-regression",
    title="Logistic regression",
    summary="A weighted sum per class; the baseline for tables.",
    task="tabular-classification",
    kind=ESTIMATOR,
    build=build,
    scaled=True,
    options=(
        Option("inverse_penalty", 1.0, "large values fit the training split more closely", minimum=1e-6, maximum=1e6),
        Option("iterations", 2000, "steps of the solver at most", minimum=10, maximum=100_000),
    ),
)
