"""`eyelet-studio evaluate`: how good a run is on a split, in one line and in figures."""

from pathlib import Path
from typing import Any

import click

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.project import open_project
from desktop_app.jobs.requests import EvaluateJob

SHOWN_CONFUSIONS = 5


@click.command("evaluate")
@click.argument("name", metavar="[RUN]", default="latest")
@project_option
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True, help="Which samples.")
@json_option
def command(name: str, project: Path, split: str, as_json: bool) -> None:
    """Evaluate RUN (an id, a number, or latest) on a split of the dataset version it was trained on."""
    from desktop_app.training.runs import load_run

    with open_project(project) as opened:
        run = load_run(opened, name)
    result = run_job(project, EvaluateJob(run.id, split))
    print_result(result, describe(result), as_json=as_json)


def describe(found: dict[str, Any]) -> str:
    """An evaluation as text: the line in plain words, then the classes and what is mixed up most."""
    import msgspec

    from desktop_app.evaluation.evaluation import Evaluation, in_words

    evaluation = msgspec.convert(found, Evaluation)
    lines = [in_words(evaluation)]
    lines += [
        f"macro F1 {evaluation.macro_f1:.3f}, log loss {evaluation.log_loss:.3f}, calibration error {evaluation.calibration_error:.3f}"
    ]
    width = min(max(len(label) for label in evaluation.labels), 30)
    for label, figures in evaluation.per_class.items():
        shares = f"precision {100 * figures.precision:5.1f} %  recall {100 * figures.recall:5.1f} %"
        lines.append(f"  {label[:30]:{width}}  {shares}  of {figures.support}")
    confused = most_confused(evaluation.confusion, evaluation.labels)
    lines += [f"mixed up most: {', '.join(confused)}"] if confused else []
    return "\n".join([*lines, f"scored by {evaluation.scored_by}", *evaluation.notes])


def most_confused(confusion: tuple[tuple[int, ...], ...], labels: tuple[str, ...], limit: int = SHOWN_CONFUSIONS) -> list[str]:
    """The pairs of classes that are mixed up most, e.g. `8 taken for 1 (3 times)`."""
    pairs = [
        (count, true, predicted) for true, row in enumerate(confusion) for predicted, count in enumerate(row) if count and true != predicted
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    return [f"{labels[true]} taken for {labels[predicted]} ({count}x)" for count, true, predicted in pairs[:limit]]
