"""`eyelet-studio fetch-samples`: bring a fleet's field samples into the labelling queue."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from desktop_app.commands.server_options import read_token_for, server_options
from desktop_app.commands.terminal import json_option, print_result, project_option
from desktop_app.data.project import open_project

if TYPE_CHECKING:
    from desktop_app.release.field_samples import FieldReport

SHOWN = 20
TELL_EVERY = 100


@click.command("fetch-samples")
@project_option
@server_options
@click.option("--device", default="", help="Of one device only.")
@click.option("--application", default="", help="Of one application only.")
@click.option("--model", default="", help="Of one model only.")
@click.option("--below-score", default=0.0, help="Only those with a lower score.  [default: all]")
@json_option
def command(  # noqa: PLR0917  (click hands every option over by name)
    project: Path,
    server: str | None,
    token_file: Path | None,
    device: str,
    application: str,
    model: str,
    below_score: float,
    as_json: bool,
) -> None:
    """Bring the field samples that devices sent to the server into the labelling queue of the project.

    Each comes unlabelled, with what the model on the device said as a suggestion; those the project has
    are left alone. Devices send samples when an operator asks: eyelet-fleet command send --kind upload_samples.
    """
    from desktop_app.release.field_samples import SampleFilter, bring_field_samples
    from desktop_app.release.server_client import ServerClient

    token = read_token_for(server, token_file)
    with open_project(project) as opened, ServerClient(server or "", token) as client:
        report = bring_field_samples(client, opened, SampleFilter(device, application, model, below_score), _tell)
    print_result(report, _describe(report), as_json=as_json)


def _tell(done: int) -> None:
    if done % TELL_EVERY == 0:
        click.echo(f"{done} field samples were looked at", err=True)


def _describe(report: "FieldReport") -> str:
    lines = [f"{report.queued} new in the labelling queue"]
    lines += [f"{report.present} were here already"] if report.present else []
    lines += [f"refused {refused.name}: {refused.reason}" for refused in report.refused[:SHOWN]]
    more = len(report.refused) - SHOWN
    return "\n".join(lines + ([f"and {more} more were refused"] if more > 0 else []))
