"""`eyelet-studio runs`: list runs, or show one with its learning curve."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option
from desktop_app.data.project import Project, open_project


@click.command("runs")
@click.argument("name", metavar="[RUN]", required=False)
@project_option
@json_option
def command(name: str | None, project: Path, as_json: bool) -> None:
    """List the runs, newest first, or show RUN (an id, a number, or latest) with its learning curve."""
    with open_project(project) as opened:
        if name:
            _print_run(opened, name, as_json=as_json)
        else:
            _print_list(opened, as_json=as_json)


def _print_list(project: Project, *, as_json: bool) -> None:
    from desktop_app.evaluation.evaluation import find_evaluation
    from desktop_app.training.runs import list_runs

    runs = [(run, find_evaluation(run)) for run in list_runs(project)]
    lines = []
    for run, evaluation in runs:
        state = run.state
        facts = [f"{run.id:24}", f"{state.state:11}", f"epochs {state.epochs_done}/{run.recipe.epochs}"]
        facts += [f"validation {100 * state.validation_accuracy:.1f} %"] if state.validation_accuracy is not None else []
        facts += [f"test {100 * evaluation.accuracy:.1f} %"] if evaluation else []
        lines.append("  ".join([*facts, state.created_at, *("(fault injection)" for _ in state.notes)]))
    data = [{"run": run, "test_accuracy": evaluation.accuracy if evaluation else None} for run, evaluation in runs]
    print_result(data, "\n".join(lines) or "no run yet; train one: eyelet-studio train", as_json=as_json)


def _print_run(project: Project, name: str, *, as_json: bool) -> None:
    from desktop_app.evaluation.evaluation import find_evaluation, in_words
    from desktop_app.training.runs import load_run, read_curve

    run = load_run(project, name)
    curve, evaluation = read_curve(run), find_evaluation(run)
    options = ", ".join(f"{option}={value}" for option, value in run.recipe.options.items())
    lines = [f"run {run.id}: {run.state.state}", f"recipe {run.recipe_digest[:12]}…, seed {run.recipe.seed}, {options}", *run.state.notes]
    lines += [f"error: {run.state.error}"] if run.state.error else []
    for point in curve.points:
        line = f"  epoch {point.epoch:3}  train loss {point.train_loss:.4f}"
        if point.validation_loss is not None and point.validation_accuracy is not None:
            line += f"  validation loss {point.validation_loss:.4f}, {100 * point.validation_accuracy:.1f} % right"
        lines.append(f"{line}  {point.seconds:.1f} s{'  best so far' if point.best else ''}")
    lines += [in_words(evaluation)] if evaluation else []
    print_result({"run": run, "curve": curve, "evaluation": evaluation}, "\n".join(lines), as_json=as_json)
