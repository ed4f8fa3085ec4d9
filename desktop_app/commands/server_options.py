"""Options of the verbs that speak to a fleet server, and opening the client and the keys they name."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from desktop_app.commands.terminal import ask_passphrase

if TYPE_CHECKING:
    from desktop_app.release.keys import KeyStore
    from desktop_app.release.server_client import ServerClient

F = TypeVar("F", bound=Callable[..., Any])

server_option = click.option(
    "--server", envvar="EYELET_SERVER", metavar="URL", help="Address of the fleet server, e.g. http://127.0.0.1:8470."
)
token_option = click.option(
    "--token-file",
    envvar="EYELET_TOKEN_FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the operator's token; the server writes it as operator.token.",
)
root_key_option = click.option(
    "--root-key",
    "root_keys",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A root key that is kept elsewhere; needed to sign a root: at a server's first publication, and to renew it. Repeatable.",
)


def server_options(function: F) -> F:
    """Add `--server` and `--token-file`."""
    return server_option(token_option(function))


def read_token_for(server: str | None, token_file: Path | None) -> str:
    """The operator's token.

    Raises:
        click.UsageError: server or token are not named.
    """
    from desktop_app.release.server_client import read_token

    if not server:
        raise click.UsageError("name the fleet server with --server URL (or EYELET_SERVER)")
    if token_file is None:
        raise click.UsageError("name the file with the operator's token with --token-file FILE (or EYELET_TOKEN_FILE)")
    return read_token(token_file)


@contextlib.contextmanager
def server_and_keys(server: str | None, token_file: Path | None, keys_folder: Path) -> Iterator[tuple["ServerClient", "KeyStore"]]:
    """The client of the server and the opened keys."""
    from desktop_app.release.keys import KeyStore, check_store
    from desktop_app.release.server_client import ServerClient

    token = read_token_for(server, token_file)
    check_store(keys_folder)
    store = KeyStore(keys_folder, ask_passphrase())
    with ServerClient(server or "", token) as client:
        yield client, store
