"""A random forest: robust on tables, no scaling to think about, large as a file."""

from collections.abc import Mapping
from typing import Any

from desktop_app.training.architecture import ESTIMATOR, Architecture, Option
from desktop_app.training.recipe import OptionValue


def build(options: Mapping[str, OptionValue], *, seed: int, threads: int) -> Any:  # noqa: ANN401
    """An unfitted classifier."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=int(options["trees"]),
        max_depth=int(options["depth"]) or None,
        min_samples_leaf=int(options["leaf_samples"]),
        random_state=seed,
        n_jobs=threads,
    )


ARCHITECTURE = Architecture(
    name="random-forest",
    title="Random forest",
    summary="Many trees that vote; good on most tables without tuning.",
    task="tabular-classification",
    kind=ESTIMATOR,
    build=build,
    options=(
        Option("trees", 100, "how many trees vote", minimum=1, maximum=5000),
        Option("depth", 16, "levels of a tree at most; 0 is without a limit", minimum=0, maximum=64),
        Option("leaf_samples", 2, "samples in a leaf at least", minimum=1, maximum=10_000),
    ),
)
