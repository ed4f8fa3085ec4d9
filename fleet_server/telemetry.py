"""Read back what devices sent, a page at a time, and drop what is older than its retention."""

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select

from contract.codec import decode
from contract.messages import Window
from contract.rest import EventPage, EventView, WindowView
from fleet_server.store import schema
from fleet_server.times import to_text

KEEP_S = 90 * 86400.0


def list_events(connection: Connection, after: int, device: str, limit: int, *, newest: bool = False) -> EventPage:
    """Events with an id above `after`, of one device or (empty) of all: the first `limit` of them, or the newest."""
    order = schema.events.c.id.desc() if newest else schema.events.c.id
    query = select(schema.events).where(schema.events.c.id > after).order_by(order).limit(limit)
    query = query.where(schema.events.c.device == device) if device else query
    events = tuple(
        EventView(
            id=row.id,
            device=row.device,
            stream=row.stream,
            sequence=row.sequence,
            at=row.at,
            received_at=to_text(row.received_at),
            kind=row.kind,
            text=row.text,
            data=msgspec.json.decode(row.data, type=dict[str, Any]),
        )
        for row in sorted(connection.execute(query), key=lambda row: row.id)
    )
    return EventPage(events, events[-1].id if events else after)


def list_windows(connection: Connection, after: int, device: str, rollout: str, limit: int) -> list[WindowView]:
    """Windows with an id above `after`, of one device or rollout or (empty) of all."""
    columns = schema.windows.c
    query = select(schema.windows).where(columns.id > after).order_by(columns.id).limit(limit)
    query = query.where(columns.device == device) if device else query
    query = query.where(columns.rollout == rollout) if rollout else query
    rows = connection.execute(query)
    return [WindowView(row.id, row.device, to_text(row.received_at), decode(row.body.encode(), Window, "the window")) for row in rows]


def drop_old(connection: Connection, now: float, keep_s: float = KEEP_S) -> int:
    """Delete windows and messages put aside that are older than `keep_s`; events stay. Returns how many rows went."""
    gone = 0
    for table in (schema.windows, schema.rejected):
        gone += connection.execute(delete(table).where(table.c.received_at < now - keep_s)).rowcount
    return gone
