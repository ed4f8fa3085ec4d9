"""`eyelet-fleet events` and `eyelet-fleet audit`."""

from typing import TYPE_CHECKING

import click

from fleet_server.commands.asking import asks_server, print_json, print_table

if TYPE_CHECKING:
    from fleet_server.client import FleetClient


@click.command()
@click.option("--after", default=0, type=click.IntRange(0), help="Show events with a higher id.")
@click.option("--device", default="", help="Of one device only.")
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, 1000))
@asks_server
def events(client: "FleetClient", after: int, device: str, limit: int, as_json: bool) -> None:
    """Show what devices reported, in the order in which it was stored."""
    from contract.rest import EventPage

    page = client.get("/v1/events", EventPage, after=after, device=device, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [(event.id, event.at, event.device, event.kind, event.text) for event in page.events]
    print_table(("id", "at", "device", "kind", "text"), rows, "no event yet")


@click.command()
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@asks_server
def audit(client: "FleetClient", limit: int, as_json: bool) -> None:
    """Show who did what and when, newest first."""
    from contract.rest import AuditEntry

    found = client.get("/v1/audit", list[AuditEntry], limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [(entry.at, entry.actor, entry.action, entry.subject, _detail(entry.detail)) for entry in found]
    print_table(("at", "actor", "action", "subject", "detail"), rows, "nothing happened yet")


def _detail(detail: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())
