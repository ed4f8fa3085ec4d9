"""`eyelet-agent run`."""

import asyncio
from pathlib import Path

import click
import msgspec

from edge_agent.commands.options import errors_in_words, home_option, log_to_stderr
from edge_agent.home import Home, HomeError, make_home
from edge_agent.listening import ListenError
from edge_agent.settings import Settings, SettingsError, load_settings
from edge_agent.supervisor import Supervisor
from edge_agent.worker_folders import IdentityError


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
    """
    log_to_stderr(verbose=verbose)
    with errors_in_words(HomeError, SettingsError, ListenError, IdentityError):
        home = make_home(home_folder)
        settings = load_settings(home.folder)
        if http_port is not None:
            settings = msgspec.structs.replace(settings, http_port=http_port)
        asyncio.run(_run(home, settings))


async def _run(home: Home, settings: Settings) -> None:
    await Supervisor(home, settings).run()
