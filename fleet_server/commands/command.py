"""`eyelet-fleet command …`: send a command to devices, list, show and cancel commands, wait for their results."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from fleet_server.commands.asking import asks_server, print_json, print_table

if TYPE_CHECKING:
    from contract.commands import CommandView
    from fleet_server.client import FleetClient

LOOK_EVERY_S = 0.5
KIND_NAMES = ("report", "benchmark", "capture_samples", "upload_samples", "restart_worker")
_WORDS = {"waiting": "waits until the device connects", "sent": "is sent; the device works on it"}


@click.group()
def command() -> None:
    """Send commands to devices, and see what came of them.

    A device takes a command only from its own fleet's server, does it once, and never more than its own
    config.json allows.
    """


@command.command(name="send")
@click.argument("devices", nargs=-1, metavar="[DEVICE]...")
@click.option("--all", "all_devices", is_flag=True, help="To every device that is not revoked.")
@click.option("--kind", required=True, type=click.Choice(KIND_NAMES), help="What the devices shall do.")
@click.option("--option", "pairs", multiple=True, metavar="NAME=VALUE", help="An option of the kind, e.g. most=20; repeat.")
@click.option("--expires", "expires_in_s", default=86400.0, show_default=True, help="Seconds after which it is not begun any more.")
@click.option("--wait", is_flag=True, help="Wait for the results; fails unless all are done.")
@click.option("--timeout", "timeout_s", default=0.0, help="Stop waiting after so many seconds.  [default: when it expires]")
@asks_server
def send(  # noqa: PLR0917  (click hands every option over by name)
    client: "FleetClient",
    devices: tuple[str, ...],
    all_devices: bool,
    kind: str,
    pairs: tuple[str, ...],
    expires_in_s: float,
    wait: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    r"""Send a command to each DEVICE.

    \b
    report           say again what runs
    benchmark        measure a version's variants here (slot, digest, most_threads)
    capture_samples  keep a share of the samples for a while (slot, for_s, share)
    upload_samples   send kept samples to the server (slot, most, most_bytes)
    restart_worker   put a new worker in the place of the one that serves (slot)
    """
    from contract.codec import to_mapping
    from contract.commands import KINDS, CommandRequest, CommandView
    from fleet_server.commands.rollout_options import read_settings

    options = to_mapping(read_settings(KINDS[kind], pairs, "--option"))
    request = CommandRequest(kind, options, devices, all_devices, expires_in_s)
    views = client.post("/v1/commands", request, list[CommandView])
    if wait:
        views = _wait(client, views, timeout_s or expires_in_s + 1)
    if as_json:
        print_json(views)
    elif not wait:
        for view in views:
            click.echo(f"{view.device}: {view.command_id} {_WORDS[view.state.value]}")
    if wait and (bad := [view.device for view in views if view.state.value != "done"]):
        raise click.ClickException(f"{kind} is not done on {', '.join(bad[:10])}{' and others' if len(bad) > 10 else ''}")  # noqa: PLR2004


def _wait(client: "FleetClient", views: "Sequence[CommandView]", timeout_s: float) -> "list[CommandView]":
    """Ask until all have ended, and say each change on stderr."""
    from contract.commands import OPEN_COMMAND_STATES, CommandView

    known = {view.command_id: view for view in views}
    end_s = time.monotonic() + timeout_s
    for view in views:
        _tell(view)
    while (opened := [view for view in known.values() if view.state in OPEN_COMMAND_STATES]) and time.monotonic() < end_s:
        time.sleep(LOOK_EVERY_S)
        for view in opened:
            now = client.get(f"/v1/commands/{view.command_id}", CommandView)
            if now.state is not view.state:
                _tell(now)
            known[view.command_id] = now
    return list(known.values())


def _tell(view: "CommandView") -> None:
    words = _WORDS.get(view.state.value, view.state.value)
    click.echo(f"{view.device}: {words}{': ' + view.text if view.text else ''}", err=True)


@command.command(name="list")
@click.option("--device", default="", help="Of one device only.")
@click.option("--state", default="", help="Only those that are waiting, sent, done, failed, expired or cancelled.")
@click.option("--kind", default="", help="Of one kind only.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000))
@asks_server
def list_command(client: "FleetClient", device: str, state: str, kind: str, limit: int, as_json: bool) -> None:  # noqa: PLR0917
    """List the newest commands, newest first."""
    from contract.commands import CommandView

    found = client.get("/v1/commands", list[CommandView], device=device, command_state=state, command_kind=kind, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(view.command_id, view.device, view.kind, view.state.value, view.created_at, view.text) for view in found]
    print_table(("command", "device", "kind", "state", "made", "result"), rows, "no command yet")


@command.command(name="show")
@click.argument("command_id", metavar="COMMAND")
@asks_server
def show_command(client: "FleetClient", command_id: str, as_json: bool) -> None:
    """Show a command with its options and its result."""
    from contract.commands import CommandView

    _show(client.get(f"/v1/commands/{command_id}", CommandView), as_json=as_json)


@command.command(name="cancel")
@click.argument("command_id", metavar="COMMAND")
@asks_server
def cancel_command(client: "FleetClient", command_id: str, as_json: bool) -> None:
    """Take a command back. A device that has it already may still do it, but no samples are taken for it any more."""
    from contract.commands import CommandView

    _show(client.post(f"/v1/commands/{command_id}/cancel", None, CommandView), as_json=as_json)


def _show(view: "CommandView", *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    options = ", ".join(f"{name}={value}" for name, value in view.options.items())
    click.echo(f"{view.command_id}: {view.kind}{' ' + options if options else ''} on {view.device} is {view.state.value}")
    times = (("made", view.created_at), ("sent", view.sent_at), ("ended", view.ended_at), ("expires", view.expires_at))
    click.echo("; ".join(f"{name} {at}" for name, at in times if at))
    if view.text:
        click.echo(view.text)
    if view.data:
        print_json(view.data)
