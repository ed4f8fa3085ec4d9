"""`eyelet-studio application publish`: publish an application's document."""

from pathlib import Path

import click
import msgspec

from desktop_app.commands.server_options import root_key_option, server_and_keys, server_options
from desktop_app.commands.terminal import json_option, keys_option, print_result


@click.group("application")
def command() -> None:
    """Applications: source, model, rules and sinks of a device, versioned and rolled out like a model."""


@command.command("publish")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@server_options
@root_key_option
@keys_option
@json_option
def publish(
    file: Path, *, server: str | None, token_file: Path | None, root_keys: tuple[Path, ...], keys_folder: Path, as_json: bool
) -> None:
    """Publish the application in FILE (JSON), byte for byte."""
    from desktop_app.release.outlets import ServerOutlet
    from desktop_app.release.publishing import publish_application, read_application

    document, _ = read_application(file)
    with server_and_keys(server, token_file, keys_folder) as (client, store):
        result = publish_application(ServerOutlet(client, store, root_keys), document)
    state = "published" if result.new else "published again" if result.sent_again else "published already"
    print_result(msgspec.to_builtins(result), f"application {result.name} version {result.version} is {state}", as_json=as_json)
