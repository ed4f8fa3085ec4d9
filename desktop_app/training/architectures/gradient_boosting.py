"""Gradient boosted trees over histograms: usually the best on tables."""

from collections.abc import Mapping
from typing import Any

from desktop_app.training.architecture import ESTIMATOR, Architecture, Option
from desktop_app.training.recipe import OptionValue


def build(options: Mapping[str, OptionValue], *, seed: int, threads: int) -> Any:  # noqa: ANN401, ARG001
    """An unfitted classifier."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=int(options["trees"]),
        learning_rate=float(options["step"]),
        max_leaf_nodes=int(options["leaves"]),
        early_stopping=False,
        random_state=seed,
    )


ARCHITECTURE = Architecture(
    name="gradient-boosting",
    title="Gradient boosting",
    summary="Trees that correct each other; usually the most accurate on tables.",
    task="tabular-classification",
    kind=ESTIMATOR,
    build=build,
    options=(
        Option("trees", 150, "rounds of boosting", minimum=1, maximum=5000),
        Option("step", 0.1, "share of each correction that is applied", minimum=1e-4, maximum=1.0),
        Option("leaves", 31, "leaves of a tree at most", minimum=2, maximum=1024),
    ),
)
