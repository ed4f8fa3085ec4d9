"""`eyelet-agent install FILE`: a lone package, or a bundle from a stick."""

import asyncio
from pathlib import Path

import click
import msgspec

from contract.bundle import is_bundle_name, read_index
from contract.codec import encode
from contract.errors import ContractError
from contract.messages import DEFAULT_SLOT
from contract.package import opened
from contract.states import UpdateState
from edge_agent.commands.options import errors_in_words, home_option, json_option, log_to_stderr, own_home, refuse_newer
from edge_agent.enrolment import ENROLMENT_FILE
from edge_agent.home import Home, HomeError
from edge_agent.home_lock import HomeLock
from edge_agent.inbox import drop_bundle, drop_package
from edge_agent.listening import ListenError
from edge_agent.settings import SettingsError, load_settings
from edge_agent.supervisor import Supervisor
from edge_agent.trust_store import TrustError, TrustStore
from edge_agent.update.bundles import find_root
from edge_agent.update.records import Update
from edge_agent.update.reports import describe, report_of
from edge_agent.worker_folders import IdentityError


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@home_option
@click.option("--force", is_flag=True, help="Try a version again that failed here.")
@json_option
def install(file: Path, home_folder: Path, force: bool, as_json: bool) -> None:
    """Install FILE: a bundle (*.eyelet-bundle), or a package (a folder or *.eyelet) on a device without a fleet.

    A bundle carries the same signed metadata as a server, and is checked like a version from one,
    without a network. A package must be signed by a key of `eyelet-agent trust`. Both pass through
    the same self-test and probation as a version from a fleet. Where the agent runs, it takes them
    over within seconds.
    """
    with errors_in_words(ContractError, TrustError, HomeError, SettingsError, ListenError, IdentityError, OSError):
        home = own_home(home_folder)
        name = _drop_bundle(home, file, force=force) if is_bundle_name(file.name) else _drop_package(home, file, force=force)
        if is_running(home):
            click.echo(f"{name} is handed to the running agent; `eyelet-agent doctor` tells how it went.", err=True)
            return
        log_to_stderr()
        update = asyncio.run(_install_now(home))
    _show(update, as_json)


def _drop_bundle(home: Home, file: Path, *, force: bool) -> str:
    index = read_index(file)
    if find_root(home) is None:
        raise click.ClickException(
            "nobody vouches for bundles here: enrol this device, or pin the root of the studio that made it with `eyelet-agent trust root`"
        )
    drop_bundle(home, file, index, reserve_bytes=load_settings(home.folder).disk_reserve_bytes, force=force)
    return f"{index.model} {index.version}"


def _drop_package(home: Home, package: Path, *, force: bool) -> str:
    if (home.identity / ENROLMENT_FILE).exists():
        raise click.ClickException(
            "this device belongs to a fleet, which alone decides what it runs; use a rollout, or a bundle of `eyelet-studio bundle`"
        )
    with opened(package, TrustStore(home.trust).keys()) as checked:
        refuse_newer(checked.manifest)
        drop_package(home, package, checked, reserve_bytes=load_settings(home.folder).disk_reserve_bytes, force=force)
        return f"{checked.manifest.name} {checked.manifest.version}"


def is_running(home: Home) -> bool:
    """Whether an agent runs in this folder."""
    lock = HomeLock(home.lock)
    try:
        lock.take()
    except HomeError:
        return True
    lock.release()
    return False


async def _install_now(home: Home) -> Update | None:
    settings = msgspec.structs.replace(load_settings(home.folder), http_port=0)
    supervisor = Supervisor(home, settings)
    await supervisor.run(until=lambda running: running.is_settled())
    return supervisor.last_update(DEFAULT_SLOT)


def _show(update: Update | None, as_json: bool) -> None:
    if update is None:
        raise click.ClickException("nothing was installed; look at the log above")
    if as_json:
        click.echo(encode(report_of(update)).decode())
    elif update.state is UpdateState.DONE:
        click.echo(f"{update.wish.model.model} {update.wish.model.version} is installed with its variant {update.variant}.")
    if update.state is not UpdateState.DONE:
        raise click.ClickException(describe(update, None))
