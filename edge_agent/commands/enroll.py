"""`eyelet-agent enroll TOKEN`."""

from pathlib import Path

import click

from contract.codec import encode
from edge_agent.commands.options import errors_in_words, home_option, json_option, own_home
from edge_agent.enrolment import EnrolmentError, enrol
from edge_agent.hardware import agent_version, hardware_class
from edge_agent.home import HomeError
from edge_agent.settings import SettingsError, load_settings


@click.command()
@click.argument("token")
@home_option
@click.option("--again", is_flag=True, help="Replace an enrolment that exists.")
@json_option
def enroll(token: str, home_folder: Path, again: bool, as_json: bool) -> None:
    """Enrol this device with the claim TOKEN (a line, or a file that holds it)."""
    with errors_in_words(EnrolmentError, HomeError, SettingsError):
        text = _read_token(token)
        home = own_home(home_folder)
        chosen = load_settings(home.folder).hardware_class or hardware_class()
        record = enrol(home, text, hardware_class=chosen, agent_version=agent_version(), again=again)
    if as_json:
        click.echo(encode(record).decode())
        return
    click.echo(f"This device is {record.device} of the fleet {record.fleet} at {record.server_url}.")
    click.echo(f"Start it with: eyelet-agent run --home {home.folder}")


def _read_token(text: str) -> str:
    path = Path(text)
    if len(text) < 200 and path.is_file():  # noqa: PLR2004  (a token is longer than that)
        return path.read_text(encoding="utf-8")[:16384]
    return text
