"""`eyelet-studio withdraw`: take a published version out of the targets."""

from pathlib import Path

import click
import msgspec

from desktop_app.commands.server_options import server_and_keys, server_options
from desktop_app.commands.terminal import json_option, keys_option, print_result


@click.command("withdraw")
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@server_options
@keys_option
@json_option
def command(model: str, version: int, *, server: str | None, token_file: Path | None, keys_folder: Path, as_json: bool) -> None:
    """Withdraw VERSION of MODEL: no device activates it any more. What runs goes on until it is replaced."""
    from desktop_app.release.outlets import ServerOutlet
    from desktop_app.release.publishing import withdraw_version

    with server_and_keys(server, token_file, keys_folder) as (client, store):
        result = withdraw_version(ServerOutlet(client, store), model, version)
    print_result(msgspec.to_builtins(result), f"{model} version {version} is withdrawn", as_json=as_json)
