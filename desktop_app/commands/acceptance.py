"""`eyelet-studio acceptance`: freeze the acceptance set."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.project import open_project
from desktop_app.jobs.requests import AcceptanceJob


@click.command("acceptance")
@project_option
@click.option("--count", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many labelled samples.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides which.")
@json_option
def command(project: Path, count: int, seed: int, as_json: bool) -> None:
    """Freeze COUNT labelled samples, which no training will ever see, as the test a device runs before it takes a version."""
    open_project(project).close()
    result = run_job(project, AcceptanceJob(count, seed))
    classes = ", ".join(f"{label} {number}" for label, number in result["classes"].items())
    print_result(result, f"froze {result['count']} samples as the acceptance set {result['digest'][:12]}…: {classes}", as_json=as_json)
