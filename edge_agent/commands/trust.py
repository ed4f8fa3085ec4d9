"""`eyelet-agent trust add|list|remove|root`."""

import json
from pathlib import Path

import click

from contract.bundle import FIRST_ROOT, is_bundle_name, opened_bundle
from contract.codec import DOCUMENT_MAX_BYTES
from contract.errors import ContractError
from contract.files import read_bounded
from edge_agent.commands.options import errors_in_words, home_option, json_option, own_home
from edge_agent.enrolment import ENROLMENT_FILE
from edge_agent.home import HomeError
from edge_agent.trust_store import TrustError, TrustStore, pin_root


@click.group()
def trust() -> None:
    """Keys whose packages this device accepts without a fleet."""


@trust.command("list")
@home_option
@json_option
def list_keys(home_folder: Path, as_json: bool) -> None:
    """List the trusted keys."""
    with errors_in_words(TrustError, HomeError):
        keys = TrustStore(own_home(home_folder).trust).keys()
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
    with errors_in_words(TrustError, HomeError, OSError):
        name, key = TrustStore(own_home(home_folder).trust).add(file)
    click.echo(f"{name} ({key.keyid}) is trusted for lone packages.")


@trust.command()
@click.argument("name")
@home_option
def remove(name: str, home_folder: Path) -> None:
    """Trust the key NAME no longer."""
    with errors_in_words(TrustError, HomeError):
        TrustStore(own_home(home_folder).trust).remove(name)
    click.echo(f"{name} is trusted no longer.")


@trust.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sha256", required=True, help="Digest of the root, as `eyelet-studio bundle` says it.")
@home_option
def root(file: Path, sha256: str, home_folder: Path) -> None:
    """Pin the root of trust in FILE (a bundle, or 1.root.json), so that bundles can be installed without a fleet."""
    with errors_in_words(TrustError, HomeError, ContractError, OSError):
        home = own_home(home_folder)
        if (home.identity / ENROLMENT_FILE).exists():
            raise click.ClickException("this device belongs to a fleet, whose root it pinned when it was enrolled")
        pin_root(home.trust, _read_root(file), sha256)
    click.echo("Bundles of this root can be installed: eyelet-agent install FILE")


def _read_root(file: Path) -> bytes:
    if not is_bundle_name(file.name):
        return read_bounded(file, DOCUMENT_MAX_BYTES)
    with opened_bundle(file) as bundle:
        size = bundle.metadata_size(FIRST_ROOT)
        if size is None or size > DOCUMENT_MAX_BYTES:
            raise click.ClickException(f"{file.name} has no root of trust in it")
        return b"".join(bundle.metadata(FIRST_ROOT))
