"""What the operator sees of the devices."""

from typing import Any

from sqlalchemy import Connection, Row, Select, select

from contract.codec import decode
from contract.messages import DEFAULT_SLOT, Desired, Health, Reported, VersionRef
from contract.rest import DeviceView
from contract.states import Presence
from fleet_server.errors import NotFoundError
from fleet_server.store import schema
from fleet_server.times import to_text


def list_devices(connection: Connection, fleet: str) -> list[DeviceView]:
    """All enrolled devices, by name."""
    return [_view(fleet, row) for row in connection.execute(_query().order_by(schema.devices.c.device))]


def get_device(connection: Connection, fleet: str, device: str) -> DeviceView:
    """One device.

    Raises:
        NotFoundError: there is none of this name.
    """
    row = connection.execute(_query().where(schema.devices.c.device == device)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no device {device[:80]!r}", "`eyelet-fleet devices` lists those that are enrolled.")
    return _view(fleet, row)


def _query() -> Select[Any]:
    devices, presence, reported, health = schema.devices, schema.presence, schema.reported, schema.health
    desired = schema.desired
    joined = devices.outerjoin(presence, presence.c.device == devices.c.device)
    joined = joined.outerjoin(reported, reported.c.device == devices.c.device).outerjoin(health, health.c.device == devices.c.device)
    newest = (desired.c.device == devices.c.device) & (desired.c.revision == devices.c.desired_revision)
    joined = joined.outerjoin(desired, newest)
    return select(
        devices.c.device,
        devices.c.hardware_class,
        devices.c.enrolled_at,
        devices.c.revoked,
        devices.c.desired_revision,
        presence.c.presence,
        presence.c.last_seen_at,
        presence.c.latency_p95_ms,
        reported.c.body.label("reported"),
        health.c.body.label("health"),
        desired.c.document.label("desired"),
    ).select_from(joined)


def _view(fleet: str, row: Row[Any]) -> DeviceView:
    return DeviceView(
        device=row.device,
        fleet=fleet,
        hardware_class=row.hardware_class,
        enrolled_at=to_text(row.enrolled_at),
        presence=Presence(row.presence or "offline"),
        last_seen_at=to_text(row.last_seen_at),
        revoked=row.revoked,
        desired_revision=row.desired_revision,
        desired=_wanted(row.desired) if row.desired else None,
        reported=decode(row.reported.encode(), Reported, "the reported state") if row.reported else None,
        health=decode(row.health.encode(), Health, "the health") if row.health else None,
        latency_p95_ms=row.latency_p95_ms,
    )


def _wanted(document: str) -> VersionRef | None:
    slot = decode(document.encode(), Desired, "the desired state").slots.get(DEFAULT_SLOT)
    return slot.model.ref if slot and slot.model else None
