"""`eyelet-studio package`: a converted run as a signed package."""

from pathlib import Path
from typing import Any

import click

from desktop_app.commands.terminal import ask_passphrase, json_option, keys_option, print_result, project_option, run_job
from desktop_app.data.project import open_project
from desktop_app.jobs.requests import PackageJob


@click.command("package")
@click.argument("name", metavar="[RUN]", default="latest")
@project_option
@click.option("--model", required=True, metavar="NAME", help="Name of the registered model: a-z, 0-9 and -.")
@click.option("--version", "version", default=None, type=click.IntRange(min=1), help="Version number.  [default: the next]")
@click.option("--key", default="", metavar="NAME", help="Sign with another model's key.")
@click.option("--override-gate", "gate_override", default="", metavar="REASON", help="Package in spite of a failed gate, and say why.")
@keys_option
@json_option
def command(  # noqa: PLR0917  (the options of a command)
    name: str, project: Path, model: str, version: int | None, key: str, gate_override: str, keys_folder: Path, as_json: bool
) -> None:
    """Build and sign a package of RUN (an id, a number, or latest)."""
    from desktop_app.training.runs import load_run

    with open_project(project) as opened:
        run = load_run(opened, name)
    job = PackageJob(run.id, model, str(keys_folder.resolve()), version, key, gate_override)
    result = run_job(project, job, secrets={"passphrase": ask_passphrase()})
    shown = {**result, "folder": str(project / result["folder"]), "archive": str(project / result["archive"])}
    print_result(shown, describe(shown), as_json=as_json)


def describe(built: dict[str, Any]) -> str:
    """What was built, in a few lines."""
    lines = [built["archive"], f"{built['model']} {built['version']}, {built['archive_bytes'] / 1000:.0f} kB, digest {built['digest']}"]
    lines.append(f"variants: {', '.join(built['variants'])}")
    if acceptance := built["acceptance"]:
        scores = ", ".join(f"{name} {100 * score:.1f} %" for name, score in acceptance["scores"].items())
        lines.append(f"acceptance set of {acceptance['count']}: {scores}; minimum {100 * acceptance['minimum']:.1f} %")
    lines += [f"{name} was left out: {reason}" for name, reason in built["left_out"].items()]
    if built["gate_override"]:
        lines.append(f"a gate was overridden: {built['gate_override']}")
    return "\n".join(lines)
