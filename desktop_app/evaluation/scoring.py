"""How a run's samples get their scores: by a converted variant where there is one, else by the run's own model.

A variant runs through the engine that the device uses, so what is measured here is what runs there.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from desktop_app.errors import EvaluationError
from desktop_app.tasks.task import RawInputs
from desktop_app.training.architecture import NETWORK
from desktop_app.training.models import load_estimator, load_network, load_record
from desktop_app.training.runs import Run

if TYPE_CHECKING:
    import numpy as np

    from contract.manifest import Variant
    from edge_agent.engine.engine import Engine

CONVERSION_FOLDER = "conversion"
NETWORK_BATCH = 128

Score = Callable[[Iterable[RawInputs]], "Iterator[np.ndarray]"]
"""Raw samples in, scores float32 (C,) out, in the same order."""


class Scorer(NamedTuple):
    """A function that scores, and its name: a variant, `network` or `estimator`."""

    name: str
    score: Score


@contextlib.contextmanager
def open_scorer(run: Run, variant: str = "") -> Iterator[Scorer]:
    """Open what scores a run.

    `variant` names a converted variant; empty: the conversion's float32 reference where there is
    one, else the run's own model.

    Raises:
        EvaluationError: there is no such variant.
        RunError: the run has no model.
    """
    record = load_record(run)
    chosen = _find_variant(run, variant)
    if chosen is not None:
        with _open_variant(run, chosen[1]) as engine:
            yield Scorer(chosen[0], _by_engine(engine))
    elif record.kind == NETWORK:
        yield Scorer("network", _by_network(run))
    else:
        with load_estimator(run) as engine:
            yield Scorer("estimator", _by_engine(engine))


def _find_variant(run: Run, name: str) -> "tuple[str, Variant] | None":
    from converters.report import REPORT_NAME, load_report

    folder = run.path / CONVERSION_FOLDER
    if not (folder / REPORT_NAME).is_file():
        if name:
            raise EvaluationError(
                f"run {run.id} is not converted, so it has no variant {name!r}", f"Convert it: eyelet-studio convert {run.id}."
            )
        return None
    report = load_report(folder)
    wanted = name or report.reference
    if wanted not in report.variants:
        raise EvaluationError(f"run {run.id} has no variant {wanted[:60]!r}; it has {', '.join(report.variants)}")
    return wanted, report.variants[wanted]


def _open_variant(run: Run, variant: "Variant") -> "Engine":
    from edge_agent.engine.engine import open_variant

    return open_variant(run.path / CONVERSION_FOLDER / variant.file, variant, load_record(run).spec)


def _by_engine(engine: "Engine") -> Score:
    return lambda samples: (engine.predict(sample).scores for sample in samples)


def _by_network(run: Run) -> Score:
    def score(samples: Iterable[RawInputs]) -> "Iterator[np.ndarray]":
        import numpy as np
        import torch

        from desktop_app.tasks.image_classification import FRAME
        from desktop_app.training.images import resize_step

        network, resize = load_network(run), resize_step(int(run.recipe.options["input_size"]))
        frames = (resize(sample[FRAME]) for sample in samples)
        with torch.inference_mode():
            while batch := list(itertools.islice(frames, NETWORK_BATCH)):
                yield from torch.softmax(network(torch.from_numpy(np.stack(batch)).float()), dim=1).numpy()

    return score
