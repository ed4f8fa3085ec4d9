"""The desired state of a device: issue a new revision, signed by the director key, and queue it for the link."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from contract.codec import decode, encode
from contract.messages import DEFAULT_SLOT, DESIRED_PAYLOAD_TYPE, Desired, DesiredSlot, Telemetry, UpdatePolicy
from contract.signing import PrivateKey, sign_document
from contract.topics import Channel
from fleet_server.errors import NotFoundError
from fleet_server.store import schema
from fleet_server.store.database import Change, mark
from fleet_server.times import to_text


class Director(NamedTuple):
    """Who signs the wishes of a fleet."""

    fleet: str
    key: PrivateKey


class Wish(NamedTuple):
    """What a new revision asks for in the slot `main`."""

    slot: DesiredSlot
    policy: UpdatePolicy = UpdatePolicy()
    telemetry: Telemetry = Telemetry()
    agent_min_version: str = ""


def issue(connection: Connection, director: Director, device: str, wish: Wish, now: float) -> int:
    """Write the next revision of a device's desired state and queue it; returns the revision.

    Raises:
        NotFoundError: there is no such device.
    """
    last = connection.scalar(select(schema.devices.c.desired_revision).where(schema.devices.c.device == device))
    if last is None:
        raise NotFoundError(f"there is no device {device!r}")
    return _write(connection, director, device, wish, (int(last) + 1, now))


def issue_above(connection: Connection, director: Director, device: str, seen: int, now: float) -> int:
    """Repeat the present wish above a revision that the device has seen but this database does not know.

    It happens after the server was restored from an older backup: a device takes rising revisions only.
    """
    current = find_desired(connection, device)
    slot = current.slots.get(DEFAULT_SLOT, DesiredSlot()) if current else DesiredSlot()
    wish = Wish(slot, current.policy, current.telemetry, current.agent_min_version) if current else Wish(slot)
    return _write(connection, director, device, wish, (seen + 1, now))


def _write(connection: Connection, director: Director, device: str, wish: Wish, at: tuple[int, float]) -> int:
    revision, now = at
    document = Desired(
        schema_version=Desired.SCHEMA_VERSION,
        fleet=director.fleet,
        device=device,
        revision=revision,
        issued_at=to_text(now),
        slots={DEFAULT_SLOT: wish.slot},
        policy=wish.policy,
        telemetry=wish.telemetry,
        agent_min_version=wish.agent_min_version,
    )
    payload = encode(document)
    envelope = sign_document(payload, DESIRED_PAYLOAD_TYPE, director.key)
    row = {"device": device, "revision": revision, "envelope": envelope, "document": payload.decode(), "issued_at": now}
    connection.execute(insert(schema.desired).values(row))
    connection.execute(update(schema.devices).where(schema.devices.c.device == device).values(desired_revision=revision))
    queue_message(connection, device, Channel.DESIRED, envelope, now)
    return revision


def queue_message(connection: Connection, device: str, channel: Channel, payload: bytes, now: float) -> None:
    """Put a message into the outbox; of `desired` only the newest counts."""
    outbox = schema.mqtt_outbox
    if channel is Channel.DESIRED:
        connection.execute(delete(outbox).where(outbox.c.device == device, outbox.c.channel == channel.value))
    connection.execute(insert(outbox).values(device=device, channel=channel.value, payload=payload, created_at=now))
    mark(connection, Change.OUTBOX)


def queue_messages(connection: Connection, channel: Channel, messages: Sequence[tuple[str, bytes]], now: float) -> None:
    """Put many messages, each with its device, into the outbox of a channel on which every one counts."""
    if messages:
        rows = [{"device": device, "channel": channel.value, "payload": payload, "created_at": now} for device, payload in messages]
        connection.execute(insert(schema.mqtt_outbox), rows)
        mark(connection, Change.OUTBOX)


def find_envelope(connection: Connection, device: str) -> tuple[int, bytes] | None:
    """Revision and signed bytes of the present wish; None where there never was one."""
    columns = schema.desired.c
    query = select(columns.revision, columns.envelope).where(columns.device == device).order_by(columns.revision.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (row.revision, row.envelope) if row is not None else None


def find_desired(connection: Connection, device: str) -> Desired | None:
    """The present wish; None where there never was one."""
    columns = schema.desired.c
    query = select(columns.document).where(columns.device == device).order_by(columns.revision.desc()).limit(1)
    text = connection.scalar(query)
    return decode(text.encode(), Desired, "the desired state") if text is not None else None
