"""Options and error handling that the verbs share."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from contract.errors import StrangerError
from edge_agent.commands.printable import printable

if TYPE_CHECKING:
    from contract.manifest import Manifest
    from edge_agent.home import Home

_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
DEFAULT_HOME = "~/.local/share/eyelet-agent"
SYSTEM_HOME = "/var/lib/eyelet-agent"
"""Of the agent that the system starts."""


def _default_home() -> str:
    own = Path(DEFAULT_HOME).expanduser()
    return SYSTEM_HOME if not own.exists() and Path(SYSTEM_HOME).is_dir() else str(own)


def home_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--home DIR`, by default from EYELET_AGENT_HOME; else the user's, and the system's where the user has none."""
    option = click.option(
        "--home",
        "home_folder",
        type=click.Path(file_okay=False, readable=False, path_type=Path),
        envvar="EYELET_AGENT_HOME",
        default=_default_home,
        show_default=f"{DEFAULT_HOME}, or {SYSTEM_HOME} where that alone is",
        help="The agent's folder.",
    )
    return option(function)


def own_home(home_folder: Path) -> "Home":
    """The agent's folder, made where it is missing, for a command that writes into it: as the user who runs the agent.

    Raises:
        HomeError: it can not be made, or is another user's.
    """
    from edge_agent.home import Home, make_home
    from edge_agent.ownership import become_agents_user, check_readable

    become_agents_user(Home(home_folder.expanduser().absolute()))
    home = make_home(home_folder)
    check_readable(home)
    return home


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: the result as JSON on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(function)


@contextlib.contextmanager
def errors_in_words(*kinds: type[Exception]) -> Iterator[None]:
    """Turn the expected errors into one sentence on stderr and exit code 1."""
    try:
        yield
    except BrokenPipeError:  # `| head`: click ends the program without a word
        raise
    except StrangerError as error:
        raise click.ClickException(f"{printable(str(error))}. If you trust who made it: eyelet-agent trust add FILE.pub.json") from error
    except kinds as error:
        raise click.ClickException(_in_words(error)) from error


def users_name() -> str:
    """Who this process is, which may be another than the one who typed the command."""
    from getpass import getuser

    if os.name != "posix":
        return getuser()
    from edge_agent.ownership import name_of

    return name_of(os.geteuid())


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; free some space and do it again"
    if isinstance(error, PermissionError) and error.filename:
        return f"{printable(str(error.filename))} is closed to {users_name()}; put it where that user may use it"
    return printable(str(error))


def refuse_newer(manifest: "Manifest") -> None:
    """Raises ClickException where a package needs a newer agent than this one."""
    from edge_agent.hardware import agent_version
    from edge_agent.least_agent import find_shortfall

    name = f"{manifest.name} {manifest.version}"
    if shortfall := find_shortfall({name: manifest.requirements.agent_min_version}, agent_version()):
        raise click.ClickException(f"{shortfall}; install the newer agent first")


class JournalFormatter(logging.Formatter):
    """For systemd's journal, which knows the time: each line begins with its priority, as sd-daemon(3) says."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def log_to_stderr(*, verbose: bool = False) -> None:
    """Log lines with their time in UTC; in the journal with their priority instead."""
    import time

    from edge_agent.systemd import journal_reads

    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter = JournalFormatter("%(message)s")
    if not journal_reads(2):
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings show tracebacks of a server's bad headers
    logging.getLogger("asyncio").setLevel(logging.WARNING)
