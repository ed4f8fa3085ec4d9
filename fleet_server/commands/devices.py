"""`eyelet-fleet devices [DEVICE]`: who is enrolled, what it runs; `eyelet-fleet revoke DEVICE`."""

from typing import TYPE_CHECKING

import click

from fleet_server.commands.asking import asks_server, print_json, print_table

if TYPE_CHECKING:
    from contract.rest import DeviceView
    from fleet_server.client import FleetClient


@click.command()
@click.argument("device", default="")
@asks_server
def devices(client: "FleetClient", device: str, as_json: bool) -> None:
    """List devices, or show DEVICE."""
    from contract.rest import DeviceView

    found = [client.get(f"/v1/devices/{device}", DeviceView)] if device else client.get("/v1/devices", list[DeviceView])
    if as_json:
        print_json(found[0] if device else found)
        return
    columns = ("device", "class", "presence", "runs", "wanted", "update", "p95 ms", "health", "last seen")
    print_table(columns, [_row(view) for view in found], "no device is enrolled yet")


@click.command()
@click.argument("device")
@asks_server
def revoke(client: "FleetClient", device: str, as_json: bool) -> None:
    """Take DEVICE's credentials away and cut its connection; it can only come back with a new claim."""
    from contract.rest import DeviceView, Request

    view = client.post(f"/v1/devices/{device}/revoke", Request(), DeviceView)
    if as_json:
        print_json(view)
    else:
        click.echo(f"{device} is revoked")


def _row(view: "DeviceView") -> tuple[object, ...]:
    slot = view.reported.slots.get("main") if view.reported else None
    current = slot.current if slot else None
    return (
        view.device,
        view.hardware_class,
        "revoked" if view.revoked else view.presence.value,
        f"{current.model} {current.version}" if current else None,
        f"{view.desired.model} {view.desired.version}" if view.desired else None,
        slot.update.state.value if slot and slot.update else None,
        view.latency_p95_ms if view.latency_p95_ms is not None else "",
        view.health.state.value if view.health else None,
        view.last_seen_at,
    )
