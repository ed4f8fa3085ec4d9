"""`eyelet-agent doctor`: says in words what is wrong and what to do."""

from pathlib import Path

import click

from contract.codec import encode
from edge_agent.commands.options import home_option, json_option
from edge_agent.diagnosis import examine
from edge_agent.findings import Finding
from edge_agent.home import Home

_MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@home_option
@json_option
def doctor(home_folder: Path, as_json: bool) -> None:
    """Look at this device and say what is wrong and what to do; exit code 1 where something is wrong."""
    findings = examine(Home(home_folder.expanduser().absolute()))
    if as_json:
        click.echo(encode(findings).decode())
    else:
        for finding in findings:
            click.echo(_line(finding))
    if any(finding.verdict == "wrong" for finding in findings):
        raise click.exceptions.Exit(1)


def _line(finding: Finding) -> str:
    advice = f"\n      → {finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.verdict]} {finding.subject}: {finding.text}{advice}"
