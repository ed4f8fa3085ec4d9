"""What the evaluate page shows: finished runs, one run's evaluation, the samples of a cell of the matrix, and Try."""

from dataclasses import dataclass
from pathlib import Path

from contract.files import read_bounded
from converters.errors import ConversionError
from converters.report import ConversionReport, load_report
from desktop_app.data.catalogue import Sample, find_sample
from desktop_app.data.labelling_queue import queue_image
from desktop_app.data.project import Project
from desktop_app.errors import EvaluationError
from desktop_app.evaluation.evaluation import Evaluation, find_evaluation, load_predictions
from desktop_app.evaluation.scoring import CONVERSION_FOLDER
from desktop_app.training.models import load_record
from desktop_app.training.runs import DONE, Run, list_runs

IMAGE_MAX_BYTES = 256 << 20
CELL_SAMPLES_MAX = 60
SCORES_SHOWN = 5


@dataclass(frozen=True)
class Results:
    """Finished runs newest first, and the chosen one's evaluation and conversion, where there are any."""

    task: str
    runs: tuple[Run, ...]
    chosen: Run | None
    evaluation: Evaluation | None
    worst: tuple[Sample, ...]
    conversion: ConversionReport | None


@dataclass(frozen=True)
class TryAnswer:
    """What a shipped variant said of one file; scores are (label, share), the best first."""

    name: str
    body: bytes
    run: str
    variant: str
    label: str
    score: float
    scores: tuple[tuple[str, float], ...]
    latency_ms: float
    width: int
    height: int


def find_conversion(run: Run) -> ConversionReport | None:
    """The run's conversion, None where it has none."""
    try:
        return load_report(run.path / CONVERSION_FOLDER)
    except ConversionError:
        return None


def choose_run(runs: tuple[Run, ...], wanted: str) -> Run | None:
    """The wanted run, else the best, else none."""
    named = next((run for run in runs if run.id == wanted), None)
    return named or max(runs, key=lambda run: (run.state.validation_accuracy or 0.0, run.id), default=None)


def read_results(project: Project, wanted: str) -> Results:
    """Read the finished runs and what is known of the chosen one."""
    runs = tuple(run for run in list_runs(project) if run.state.state == DONE)
    chosen = choose_run(runs, wanted)
    if chosen is None:
        return Results(project.task, runs, None, None, (), None)
    evaluation = find_evaluation(chosen)
    return Results(project.task, runs, chosen, evaluation, _worst(project, evaluation), find_conversion(chosen))


def _worst(project: Project, evaluation: Evaluation | None) -> tuple[Sample, ...]:
    found = []
    for worst in evaluation.worst if evaluation is not None else ():
        sample = find_sample(project, worst.sha256)
        if sample is not None:
            found.append(_as_predicted(sample, worst.predicted, worst.score))
    return tuple(found)


def _as_predicted(sample: Sample, predicted: str, score: float) -> Sample:
    import msgspec

    return msgspec.structs.replace(sample, predicted=predicted, predicted_score=score)


def read_cell(project: Project, run: Run, truth: str, said: str) -> tuple[Sample, ...]:
    """Samples of one cell of the confusion matrix, the surest answers first."""
    evaluation = find_evaluation(run)
    if evaluation is None:
        return ()
    predictions = load_predictions(run)
    answers = predictions.scores.argmax(axis=1)
    row, column = evaluation.labels.index(truth), evaluation.labels.index(said)
    places = [at for at in range(len(answers)) if predictions.labels[at] == row and answers[at] == column]
    places.sort(key=lambda at: -float(predictions.scores[at, column]))
    found = []
    for at in places[:CELL_SAMPLES_MAX]:
        sample = find_sample(project, predictions.sha256s[at])
        if sample is not None:
            found.append(_as_predicted(sample, said, float(predictions.scores[at, column])))
    return tuple(found)


def try_file(run: Run, variant: str, path: Path) -> TryAnswer:
    """Ask a converted variant about an image file, through the engine that devices use.

    Raises:
        EvaluationError: the run has no such variant.
        edge_agent.engine.errors.EngineError: the file or the model is refused.
    """
    from edge_agent.engine.decoding import decode_image
    from edge_agent.engine.engine import open_variant

    report = find_conversion(run)
    if report is None or variant not in report.variants:
        raise EvaluationError(f"run {run.id} has no variant {variant!r}", "Convert the run on the Ship page.")
    body = read_bounded(path, IMAGE_MAX_BYTES)
    frame = decode_image(body)
    chosen = report.variants[variant]
    with open_variant(run.path / CONVERSION_FOLDER / chosen.file, chosen, load_record(run).spec) as engine:
        engine.predict({"frame": frame})  # the first call of a session also plans its memory
        answer = engine.predict({"frame": frame})
    pairs = sorted(zip(report.labels, (float(s) for s in answer.scores), strict=True), key=lambda pair: -pair[1])
    return TryAnswer(
        name=path.name,
        body=body,
        run=run.id,
        variant=variant,
        label=answer.label,
        score=answer.score,
        scores=tuple(pairs[:SCORES_SHOWN]),
        latency_ms=answer.latency_us / 1000,
        width=int(frame.shape[1]),
        height=int(frame.shape[0]),
    )


def send_to_queue(project: Project, answer: TryAnswer) -> Sample:
    """Put the file that was answered wrongly into the labelling queue, with what the model said."""
    return queue_image(project, answer.body, name=answer.name, predicted=answer.label, predicted_score=answer.score)
