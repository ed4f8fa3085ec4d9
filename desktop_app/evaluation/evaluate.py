"""The job behind `evaluate`: score one split of the run's own dataset version and keep what came out."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from desktop_app.data.catalogue import SPLITS
from desktop_app.data.project import Project
from desktop_app.errors import EvaluationError
from desktop_app.evaluation.evaluation import Evaluation, Predictions, Subject, save_evaluation, summarize
from desktop_app.evaluation.scoring import open_scorer
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import EvaluateJob
from desktop_app.tasks import TASKS
from desktop_app.training.planning import find_version
from desktop_app.training.runs import load_run

if TYPE_CHECKING:
    import numpy as np

REPORT_EVERY = 64


def evaluate(project: Project, job: EvaluateJob, context: JobContext) -> Evaluation:
    """Evaluate a run on a split and save `evaluation.json` and `predictions.npz` in its folder.

    Raises:
        EvaluationError: the split is unknown or empty.
        RunError: there is no such run, or it has no model.
    """
    import numpy as np

    if job.split not in SPLITS:
        raise EvaluationError(f"there is no split {job.split[:40]!r}; splits are {', '.join(SPLITS)}")
    run = load_run(project, job.run)
    version = find_version(project, run.recipe.dataset_version)
    samples = version.of_split(job.split)
    if not samples:
        raise EvaluationError(
            f"dataset version {version.number} has no {job.split} samples", "Freeze a version with a larger share for it."
        )
    with open_scorer(run) as scorer:
        raw = TASKS[version.task].raw_inputs(project, version, samples)
        scores = np.stack(list(_followed(scorer.score(raw), len(samples), context))).astype(np.float32)
    index = {label: number for number, label in enumerate(version.labels)}
    labels = np.array([index[sample.label] for sample in samples], dtype=np.int64)
    evaluation = summarize(Subject(run, job.split, samples, version.labels, scorer.name), scores, labels)
    save_evaluation(run, evaluation, Predictions(scores, labels, tuple(sample.sha256 for sample in samples)))
    return evaluation


def _followed(scores: "Iterable[np.ndarray]", total: int, context: JobContext) -> "Iterator[np.ndarray]":
    """The scores one by one, with progress and a chance to cancel."""
    for done, row in enumerate(scores):
        if done % REPORT_EVERY == 0:
            context.check_cancelled()
            context.progress(done, total, "sample", "evaluating")
        yield row
    context.progress(total, total, "sample", "evaluating")
