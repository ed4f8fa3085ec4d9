"""`eyelet-studio freeze`: split by seed and freeze a dataset version."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.project import open_project
from desktop_app.jobs.requests import FreezeJob


@click.command("freeze")
@project_option
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which sample goes to which split.")
@click.option(
    "--shares",
    type=(float, float, float),
    default=(0.7, 0.15, 0.15),
    show_default=True,
    metavar="TRAIN VALIDATION TEST",
    help="Shares of the splits, together 1.",
)
@json_option
def command(project: Path, seed: int, shares: tuple[float, float, float], as_json: bool) -> None:
    """Freeze the labelled samples as a dataset version: immutable, and the same digest for the same data."""
    open_project(project).close()
    result = run_job(project, FreezeJob(seed, shares))
    splits = ", ".join(f"{split} {count}" for split, count in result["splits"].items())
    facts = f"{result['samples']} samples, {len(result['labels'])} classes; {splits}"
    print_result(result, f"dataset version {result['number']} ({result['digest'][:12]}…): {facts}", as_json=as_json)
