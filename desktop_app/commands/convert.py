"""`eyelet-studio convert`: a run as variants for devices, with what each costs in accuracy, size and time."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.project import open_project
from desktop_app.jobs.requests import ConvertJob


@click.command("convert")
@click.argument("name", metavar="[RUN]", default="latest")
@project_option
@click.option("--targets", "-t", default="", metavar="A,B", help="Variants, e.g. onnx-int8,litert-int8.  [default: those of the task]")
@click.option("--max-loss", default=1.0, show_default=True, type=click.FloatRange(0, 100), help="Points of accuracy that may be lost.")
@click.option("--max-class-loss", default=None, type=click.FloatRange(0, 100), help="Points of recall that any one class may lose.")
@json_option
def command(  # noqa: PLR0917  (the options of a command)
    name: str, project: Path, targets: str, max_loss: float, max_class_loss: float | None, as_json: bool
) -> None:
    """Convert RUN (an id, a number, or latest); a variant that fails the gate stays out of packages."""
    from desktop_app.training.runs import load_run

    with open_project(project) as opened:
        run = load_run(opened, name)
    wanted = tuple(target.strip() for target in targets.split(",") if target.strip())
    result = run_job(project, ConvertJob(run.id, wanted, max_loss, max_class_loss))
    print_result(result, describe(result), as_json=as_json)


def describe(result: object) -> str:
    """A conversion as a table, with what was refused and what to try."""
    import msgspec

    from converters.report import ConversionReport
    from converters.table import report_text

    return report_text(msgspec.convert(result, ConversionReport))
