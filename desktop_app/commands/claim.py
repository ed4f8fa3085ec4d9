"""`eyelet-studio claim`: make a claim token, with which a device enrols once."""

import datetime
from pathlib import Path

import click

from desktop_app.commands.server_options import server_and_keys, server_options
from desktop_app.commands.terminal import json_option, keys_option, print_result


@click.command("claim")
@click.option("--device", required=True, help="Name of the device: a-z, 0-9 and -, up to 63.")
@click.option("--hours", type=click.FloatRange(0.01, 24 * 90), default=24.0, show_default=True, help="How long the token is good.")
@click.option("--hardware-class", default="", help="Kind of hardware, where it is known beforehand, e.g. pi5.")
@server_options
@keys_option
@json_option
def command(
    device: str, *, hours: float, hardware_class: str, server: str | None, token_file: Path | None, keys_folder: Path, as_json: bool
) -> None:
    """Print a claim token for a device; give it to the device: eyelet-agent enroll TOKEN.

    The token is good once. It carries the address of the server and the root of trust of this studio.
    """
    from desktop_app.release.claims import make_claim

    with server_and_keys(server, token_file, keys_folder) as (client, store):
        token = make_claim(client, store, device, life=datetime.timedelta(hours=hours), hardware_class=hardware_class)
    print_result({"device": device, "token": token}, token, as_json=as_json)
