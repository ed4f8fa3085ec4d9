"""`eyelet-agent trust add|list|remove`."""

import json
from pathlib import Path

import click

from edge_agent.commands.options import errors_in_words, home_option, json_option
from edge_agent.home import HomeError, make_home
from edge_agent.trust_store import TrustError, TrustStore


@click.group()
def trust() -> None:
    """Keys whose packages this device accepts without a fleet."""


@trust.command("list")
@home_option
@json_option
def list_keys(home_folder: Path, as_json: bool) -> None:
    """List the trusted keys."""
    with errors_in_words(TrustError, HomeError):
        keys = TrustStore(make_home(home_folder).trust).keys()
    if as_json:
        click.echo(json.dumps([{"name": name, "keyid": key.keyid} for name, key in keys.items()]))
        return
    for name, key in keys.items():
        click.echo(f"{name}  {key.keyid}")
    if not keys:
        click.echo("No key is trusted. Add one with: eyelet-agent trust add FILE.pub.json", err=True)


@trust.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@home_option
def add(file: Path, home_folder: Path) -> None:
    """Trust the public key in FILE (*.pub.json)."""
    with errors_in_words(TrustError, HomeError):
        name, key = TrustStore(make_home(home_folder).trust).add(file)
    click.echo(f"{name} ({key.keyid}) is trusted for lone packages.")


@trust.command()
@click.argument("name")
@home_option
def remove(name: str, home_folder: Path) -> None:
    """Trust the key NAME no longer."""
    with errors_in_words(TrustError, HomeError):
        TrustStore(make_home(home_folder).trust).remove(name)
    click.echo(f"{name} is trusted no longer.")
