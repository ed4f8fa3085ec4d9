"""`eyelet-agent run`."""

import asyncio
import logging
from pathlib import Path

import click
import msgspec

from contract.messages import DEFAULT_SLOT
from edge_agent.commands.options import errors_in_words, home_option, log_to_stderr
from edge_agent.home import Home, HomeError, make_home
from edge_agent.last_good_settings import InForce, settle_settings
from edge_agent.listening import ListenError
from edge_agent.ownership import check_readable, describe, find_foreign
from edge_agent.settings import SettingsError
from edge_agent.worker.child_identity import examine_identity
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.preloading import expect_of
from edge_agent.worker_folders import IdentityError

log = logging.getLogger(__name__)


@click.command()
@home_option
@click.option(
    "--http-port",
    type=click.IntRange(0, 65535),
    default=None,
    help="TCP port of the endpoint, at the address http_host of config.json (loopback where that is not set); 0 takes a free one.",
)
@click.option("--verbose", is_flag=True, help="Log more.")
def run(home_folder: Path, http_port: int | None, verbose: bool) -> None:
    """Serve the installed model, follow the fleet's wishes and report, until stopped.

    Where it answers stands in run/endpoint.json of the agent's folder; a browser gets a status page there.
    Where config.json is damaged the settings of the last good start hold, and `eyelet-agent doctor` says why.
    """
    log_to_stderr(verbose=verbose)
    with errors_in_words(HomeError, SettingsError, ListenError, IdentityError):
        home = make_home(home_folder)
        check_readable(home)
        if (foreign := find_foreign(home)) is not None:
            log.warning("%s", describe(foreign, home))
        in_force = settle_settings(home)
        if http_port is not None:
            in_force = in_force._replace(settings=msgspec.structs.replace(in_force.settings, http_port=http_port))
        asyncio.run(_run(home, in_force))


async def _run(home: Home, in_force: InForce) -> None:
    """The main slot's worker is begun first, and imports its libraries while this process imports all the rest."""
    early = EarlyStart()
    expected = expect_of(home.slots / DEFAULT_SLOT / "current.json")
    if expected is not None:
        early.begin(expected, examine_identity(in_force.settings.worker_user, home.folder.parent)[0])
        await asyncio.sleep(0)
    try:
        from edge_agent.supervisor import Supervisor

        supervisor = Supervisor(home, in_force.settings, early)
        supervisor.refused_settings = in_force.refused
        await supervisor.run()
    finally:
        await early.close()
