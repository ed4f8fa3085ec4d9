"""The transactional outbox: what was decided in the database goes out to the broker, and is removed once the broker has it."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from contract.topics import Channel
from fleet_server.store import schema

BATCH = 100


class Waiting(NamedTuple):
    """One message that waits."""

    id: int
    device: str
    channel: Channel
    payload: bytes


def list_waiting(connection: Connection) -> list[Waiting]:
    """The oldest messages that wait."""
    rows = connection.execute(select(schema.mqtt_outbox).order_by(schema.mqtt_outbox.c.id).limit(BATCH))
    return [Waiting(row.id, row.device, Channel(row.channel), row.payload) for row in rows]


def remove_sent(connection: Connection, ids: Sequence[int]) -> None:
    """Forget messages that the broker has taken."""
    connection.execute(delete(schema.mqtt_outbox).where(schema.mqtt_outbox.c.id.in_(ids)))
