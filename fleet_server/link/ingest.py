"""Take in one message of a device: bound, parse, store; a message that is broken isolates its device's stream, nothing else.

Every function here runs inside the writer's transaction and returns what to acknowledge after the commit.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from contract.codec import MESSAGE_MAX_BYTES, decode, encode
from contract.commands import CommandResult
from contract.errors import ContractError, FormatError
from contract.messages import Event, Health, Hello, PresenceMessage, Reported, Window
from contract.states import Presence
from contract.topics import Channel, Topic
from fleet_server.conductor.moves import Conduct
from fleet_server.conductor.observations import note_reported, note_update, note_window
from fleet_server.conductor.restored import rise_above
from fleet_server.devices.commands import note_result, send_waiting
from fleet_server.devices.desired import Director, find_envelope, queue_message
from fleet_server.link.streams import commit_sequence, read_stream, skip_to, write_stream
from fleet_server.store import schema

_LOG = logging.getLogger(__name__)
STREAM_MAX_CHARS = 80
HEAD_BYTES = 2048


class Committed(NamedTuple):
    """Everything of this stream up to this sequence is stored: acknowledge it after the commit."""

    device: str
    stream: str
    upto: int


class Intake(NamedTuple):
    """Where a message is taken in: the transaction, who signs wishes, when, from whom."""

    connection: Connection
    director: Director
    now: float
    device: str


def take_in(connection: Connection, director: Director, topic: Topic, payload: bytes, now: float) -> Committed | None:
    """Store one message of a device; what can not be read is kept aside with its reason.

    A message of a device that is unknown or revoked is dropped.
    """
    columns = schema.devices.c
    if connection.scalar(select(columns.device).where(columns.device == topic.device, columns.revoked.is_(False))) is None:
        _LOG.warning("A message on %s of the unknown or revoked device %s is dropped", topic.channel.value, topic.device)
        return None
    intake = Intake(connection, director, now, topic.device)
    try:
        committed = _INTAKES[topic.channel](intake, payload)
    except ContractError as error:
        return _put_aside(intake, topic.channel, payload, str(error))
    connection.execute(update(schema.presence).where(schema.presence.c.device == topic.device).values(last_seen_at=now))
    return committed


def _take_event(intake: Intake, payload: bytes) -> Committed:
    event = decode(payload, Event, "the event", MESSAGE_MAX_BYTES)
    _check_stream(event.stream)
    data = {**event.data, "update": event.update} if event.update is not None else event.data
    row = {
        "device": intake.device,
        "stream": event.stream,
        "sequence": event.sequence,
        "at": event.at[:40],
        "received_at": intake.now,
        "kind": event.kind[:40],
        "text": event.text or _describe(event),
        "data": encode(data).decode(),
    }
    fresh = intake.connection.execute(upsert(schema.events).values(row).on_conflict_do_nothing()).rowcount > 0
    if fresh and event.update is not None:
        note_update(intake.connection, intake.device, event.update)
    return _commit(intake, event.stream, event.sequence)


def _describe(event: Event) -> str:
    change = event.update
    if change is None:
        return event.kind
    step = f"{change.previous.value} → {change.state.value}" if change.previous else change.state.value
    reason = f" ({change.reason.value})" if change.reason else ""
    return f"{change.target.model} version {change.target.version}: {step}{reason}{': ' + change.detail if change.detail else ''}"


def _take_window(intake: Intake, payload: bytes) -> Committed:
    window = decode(payload, Window, "the window", MESSAGE_MAX_BYTES)
    _check_stream(window.stream)
    _check_window(window)
    row = {
        "device": intake.device,
        "digest": window.target.digest,
        "variant": window.variant[:80],
        "boot_id": window.boot_id[:80],
        "window_index": window.index,
        "rollout": window.rollout[:80],
        "received_at": intake.now,
        "body": payload.decode(),
    }
    if intake.connection.execute(upsert(schema.windows).values(row).on_conflict_do_nothing()).rowcount > 0:
        note_window(intake.connection, intake.device, window)
    return _commit(intake, window.stream, window.sequence)


def _check_window(window: Window) -> None:
    for name, histogram in (("latency_us", window.latency_us), ("confidence", window.confidence)):
        rising = all(low < high for low, high in zip(histogram.bounds, histogram.bounds[1:], strict=False))
        if not histogram.bounds or len(histogram.counts) != len(histogram.bounds) + 1 or min(histogram.counts) < 0 or not rising:
            raise FormatError(f"the window's {name} is no histogram: {len(histogram.bounds)} bounds, {len(histogram.counts)} counts")
    if min(window.count, window.errors, *window.class_counts.values(), 0) < 0 or len(window.class_counts) > 10_000:  # noqa: PLR2004
        raise FormatError("the window has negative counts or too many classes")


def _check_stream(stream: str) -> None:
    if not stream or len(stream) > STREAM_MAX_CHARS:
        raise FormatError(f"the stream {stream[:20]!r} is empty or longer than {STREAM_MAX_CHARS} characters")


def _commit(intake: Intake, stream: str, sequence: int) -> Committed:
    return Committed(intake.device, stream, commit_sequence(intake.connection, intake.device, stream, sequence))


def _take_hello(intake: Intake, payload: bytes) -> Committed:
    hello = decode(payload, Hello, "the hello", MESSAGE_MAX_BYTES)
    _check_stream(hello.stream)
    connection, device = intake.connection, intake.device
    end = skip_to(hello.first_sequence, *read_stream(connection, device, hello.stream))
    upto = write_stream(connection, device, hello.stream, end)
    _answer_desired(intake, hello.desired_revision)
    _set_presence(intake, Presence.ONLINE, hello.session, hello.boot_id)
    send_waiting(connection, intake.now, [device])
    if hello.agent_version:
        values = {"agent_version": hello.agent_version[:40]}
        connection.execute(update(schema.devices).where(schema.devices.c.device == device).values(values))
    return Committed(device, hello.stream, upto)


def _answer_desired(intake: Intake, seen: int) -> None:
    rise_above(intake.connection, Conduct(intake.director, intake.now), intake.device, seen)
    found = find_envelope(intake.connection, intake.device)
    if found and seen < found[0]:
        queue_message(intake.connection, intake.device, Channel.DESIRED, found[1], intake.now)


def _take_reported(intake: Intake, payload: bytes) -> None:
    reported = decode(payload, Reported, "the reported state", MESSAGE_MAX_BYTES)
    if reported.device != intake.device:
        raise FormatError(f"the reported state of {reported.device} came on the topic of {intake.device}")
    rise_above(intake.connection, Conduct(intake.director, intake.now), intake.device, reported.desired_revision_seen)
    values = {"body": payload.decode(), "received_at": intake.now}
    statement = upsert(schema.reported).values(device=intake.device, **values)
    intake.connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=values))
    note_reported(intake.connection, intake.device, reported)


def _take_health(intake: Intake, payload: bytes) -> None:
    decode(payload, Health, "the health", MESSAGE_MAX_BYTES)
    values = {"body": payload.decode(), "received_at": intake.now}
    statement = upsert(schema.health).values(device=intake.device, **values)
    intake.connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=values))


def _take_presence(intake: Intake, payload: bytes) -> None:
    if not payload:
        return
    message = decode(payload, PresenceMessage, "the presence", MESSAGE_MAX_BYTES)
    _set_presence(intake, message.presence, message.session, message.boot_id)


def _set_presence(intake: Intake, presence: Presence, session: int, boot_id: str) -> None:
    columns = schema.presence.c
    known = intake.connection.scalar(select(columns.session).where(columns.device == intake.device)) or 0
    if session < known:
        return  # the last will of a session that a newer one has replaced
    values = {"presence": presence.value, "session": session, "boot_id": boot_id[:80]}
    statement = upsert(schema.presence).values(device=intake.device, **values)
    intake.connection.execute(statement.on_conflict_do_update(index_elements=["device"], set_=values))


def _take_command_result(intake: Intake, payload: bytes) -> Committed | None:
    result = decode(payload, CommandResult, "the command's result", MESSAGE_MAX_BYTES)
    note_result(intake.connection, intake.device, result, intake.now)
    if not result.stream:
        return None  # of an agent that keeps no results
    _check_stream(result.stream)
    return _commit(intake, result.stream, result.sequence)


class _Head(msgspec.Struct):
    stream: str = ""
    sequence: int = 0


def _put_aside(intake: Intake, channel: Channel, payload: bytes, reason: str) -> Committed | None:
    _LOG.warning("A message of %s on %s can not be read: %s", intake.device, channel.value, reason)
    row = {
        "device": intake.device,
        "channel": channel.value,
        "received_at": intake.now,
        "reason": reason[:1000],
        "head": payload[:HEAD_BYTES],
    }
    intake.connection.execute(insert(schema.rejected).values(row))
    if channel not in {Channel.EVENT, Channel.WINDOW, Channel.COMMAND_RESULT} or len(payload) > MESSAGE_MAX_BYTES:
        return None
    try:
        head = msgspec.json.decode(payload, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if head.sequence < 1 or not 0 < len(head.stream) <= STREAM_MAX_CHARS:
        return None
    return _commit(intake, head.stream, head.sequence)  # it would never become readable: do not let it block its stream


_INTAKES: dict[Channel, Callable[[Intake, bytes], Committed | None]] = {
    Channel.EVENT: _take_event,
    Channel.WINDOW: _take_window,
    Channel.HELLO: _take_hello,
    Channel.REPORTED: _take_reported,
    Channel.HEALTH: _take_health,
    Channel.PRESENCE: _take_presence,
    Channel.COMMAND_RESULT: _take_command_result,
}
