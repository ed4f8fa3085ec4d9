"""`eyelet-fleet rotate-keys`: a new online key and a new operator's token for a server that stands still."""

from pathlib import Path

import click


@click.command(name="rotate-keys")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, file_okay=False, exists=True), help="Data folder of the stopped server."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate_keys(data: Path, as_json: bool) -> None:
    """Make a new online key and a new operator's token; the old key is kept aside.

    After it, start the server and let the studio name the key in the next root:
    eyelet-studio keys renew --online-key. Until then the server signs nothing.
    """
    from contract.codec import utc_now
    from contract.errors import ContractError
    from fleet_server.commands.asking import print_json
    from fleet_server.data_folder import DataFolder
    from fleet_server.devices.credentials import open_operator_token
    from fleet_server.errors import FleetError
    from fleet_server.trust.server_keys import rotate_online_key

    folder = DataFolder(data)
    try:
        with folder.locked():
            aside = rotate_online_key(folder.keys, utc_now())
            folder.token.unlink(missing_ok=True)
            open_operator_token(folder.token)
    except (FleetError, ContractError) as error:
        advice = getattr(error, "advice", "")
        raise click.ClickException(f"{error}{'. ' + advice if advice else ''}") from error
    if as_json:
        print_json({"old_key": str(aside), "token_file": str(folder.token)})
        return
    click.echo(f"The server has a new online key (the old one is kept as {aside.name}) and a new token in {folder.token}.")
    click.echo("Start it, then: eyelet-studio keys renew --online-key")
