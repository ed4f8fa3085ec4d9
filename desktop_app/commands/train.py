"""`eyelet-studio train`: train a model by a recipe, or go on with an interrupted run."""

from pathlib import Path
from typing import Any

import click
import msgspec

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.project import Project, open_project
from desktop_app.errors import JobCancelledError
from desktop_app.jobs.requests import TrainJob

FIELDS = ("architecture", "epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "seed", "threads")


@click.command("train")
@project_option
@click.option("--architecture", "-a", help="What to train.  [default: the task's usual one; --list shows all]")
@click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME=VALUE", help="An option of the architecture, e.g. width=32. Repeatable."
)
@click.option("--epochs", type=int, help="How often the network sees every training sample.")
@click.option("--batch-size", type=int, help="Samples per step.")
@click.option("--learning-rate", type=float, help="The highest of the one-cycle schedule.")
@click.option("--weight-decay", type=float, help="Pull of the weights towards zero.")
@click.option("--label-smoothing", type=float, help="Share of doubt in every label, 0 to 0.9.")
@click.option("--shift", "shift_share", type=float, help="Largest random shift of training images as a share of their side.")
@click.option("--flip/--no-flip", default=None, help="Mirror half of the training images left to right (not for digits).")
@click.option("--seed", type=int, help="Decides initial weights, order and augmentation.  [default: 0]")
@click.option("--threads", type=int, help="Processor threads.  [default: 2]")
@click.option("--version", "number", type=int, help="Dataset version to train on.  [default: the newest]")
@click.option("--label-permutation-seed", type=int, help="Fault injection: train on exchanged labels, to test the acceptance gate.")
@click.option("--resume", metavar="RUN", help="Go on with this run from its last epoch (an id, a number, or latest).")
@click.option("--list", "show_list", is_flag=True, help="List the architectures for the project's task and their options.")
@json_option
def command(project: Path, *, resume: str | None, show_list: bool, as_json: bool, **wishes: Any) -> None:  # noqa: ANN401
    """Train a model on the newest dataset version, in a process of its own.

    Ctrl-C cancels; --resume goes on from the last finished epoch, also after a crash.
    """
    with open_project(project) as opened:
        if show_list:
            _print_architectures(opened, as_json=as_json)
            return
        job = _resume_job(opened, resume, wishes) if resume else _new_job(opened, wishes)
    try:
        result = run_job(project, job)
    except (KeyboardInterrupt, JobCancelledError):
        click.echo("Cancelled; go on from the last finished epoch with: eyelet-studio train --resume latest", err=True)
        raise
    print_result(result, describe(result), as_json=as_json)


def _resume_job(project: Project, name: str, wishes: dict[str, Any]) -> TrainJob:
    from desktop_app.training.runs import resume_run

    given = sorted(key for key, value in wishes.items() if value not in {None, ()})
    if given:
        raise click.UsageError(f"a resumed run keeps its recipe; leave out {', '.join(given)}")
    return TrainJob(run_id=resume_run(project, name).id)


def _new_job(project: Project, wishes: dict[str, Any]) -> TrainJob:
    """Check the recipe here, before a process starts, so that a wrong wish is answered at once."""
    from desktop_app.data.versions import load_version
    from desktop_app.training.planning import plan_recipe

    recipe = plan_recipe(load_version(project, wishes["number"]), _wished(project, wishes))
    return TrainJob(recipe=msgspec.to_builtins(recipe))


def _wished(project: Project, wishes: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: wishes[name] for name in FIELDS if wishes[name] is not None}
    found["options"] = dict(_parse_option(text) for text in wishes["options"])
    if wishes["label_permutation_seed"] is not None:
        found["label_permutation_seed"] = wishes["label_permutation_seed"]
    changes = {name: wishes[name] for name in ("shift_share", "flip") if wishes[name] is not None}
    if changes:
        from desktop_app.training.planning import usual_augmentation

        usual = usual_augmentation(project.task, wishes["architecture"])
        found["augmentation"] = msgspec.to_builtins(msgspec.structs.replace(usual, **changes))
    return found


def _parse_option(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name or not value:
        raise click.UsageError(f"--option {text!r}: expected NAME=VALUE, e.g. width=32")
    return name, value


def describe(run: dict[str, Any]) -> str:
    """A finished run in one line, and its notes."""
    from desktop_app.training.architecture import NETWORK
    from desktop_app.training.architectures import ARCHITECTURES

    state, recipe = run["state"], run["recipe"]
    network = ARCHITECTURES[recipe["architecture"]].kind == NETWORK
    work = f"{state['epochs_done']} epoch{'s' * (state['epochs_done'] != 1)}" if network else "fitted"
    line = f"run {run['id']} is {state['state']}: {recipe['architecture']}, {work} in {state['seconds']:.1f} s"
    kept = f"; kept epoch {state['best_epoch']}" if network and state["best_epoch"] else ""
    if state["validation_accuracy"] is not None:
        kept += f"; {100 * state['validation_accuracy']:.1f} % of the validation split right"
    return "\n".join([line + kept, *state["notes"]])


def _print_architectures(project: Project, *, as_json: bool) -> None:
    from desktop_app.training.planning import architectures_of

    found = architectures_of(project.task)
    lines: list[str] = []
    for entry in found:
        lines.append(f"{entry.name}: {entry.summary}")
        lines += [f"  {option.name}={option.default}  {option.help}" for option in entry.options]
    data = [
        {
            "name": e.name,
            "title": e.title,
            "summary": e.summary,
            "options": {o.name: {"default": o.default, "help": o.help} for o in e.options},
        }
        for e in found
    ]
    print_result(data, "\n".join(lines), as_json=as_json)
