"""Commands to devices: make and sign, send, send again until there is a result, and end.

Everything happens inside the writer's transaction; a command that is sent goes through the outbox.
"""

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from contract.codec import encode
from contract.commands import (
    COMMAND_PAYLOAD_TYPE,
    OPEN_COMMAND_STATES,
    Command,
    CommandRequest,
    CommandResult,
    CommandState,
    CommandView,
    parse_options,
)
from contract.signing import sign_document
from contract.states import Presence
from contract.topics import Channel
from fleet_server.audit import OPERATOR, record
from fleet_server.devices.desired import Director, queue_messages
from fleet_server.errors import ConflictError, NotFoundError, RefusedError
from fleet_server.store import schema
from fleet_server.times import to_text

OPEN_PER_DEVICE_MAX = 100
KEEP_S = 90 * 86400.0
AUDITED = 20
"""Ids of commands in one entry of the audit trail."""
IDS_PER_STATEMENT = 500
TEXT_MAX_CHARS, DATA_MAX_BYTES = 2000, 64 * 1024
_OPEN = tuple(sorted(state.value for state in OPEN_COMMAND_STATES))
_COLUMNS = schema.commands.c


def create_commands(connection: Connection, director: Director, request: CommandRequest, now: float) -> list[CommandView]:
    """One command for each device that is asked for; those whose device is connected are sent.

    Raises:
        FormatError: the kind or its options are not known.
        RefusedError: no device, or both some and all.
        NotFoundError: a device does not exist or is revoked.
        ConflictError: too many commands of a device have no result yet.
    """
    options = msgspec.to_builtins(parse_options(request.kind, request.options))
    devices = _devices_of(connection, request, now)
    rows = [_build_row(director, request, (device, options), now) for device in devices]
    before = connection.scalar(select(func.coalesce(func.max(_COLUMNS.number), 0))) or 0
    connection.execute(insert(schema.commands), rows)
    made = [row["command_id"] for row in rows[:AUDITED]]
    subject = devices[0] if len(devices) == 1 else f"{len(devices)} devices"
    record(connection, at=now, actor=OPERATOR, action=f"command {request.kind}", subject=subject, options=options, commands=made)
    send_waiting(connection, now, devices)
    found = connection.execute(select(schema.commands).where(_COLUMNS.number > before).order_by(_COLUMNS.number))
    return [_view(row, now) for row in found]


def _devices_of(connection: Connection, request: CommandRequest, now: float) -> list[str]:
    if bool(request.devices) == request.all_devices:
        raise RefusedError("a command is for some devices or for all of them", "Name devices, or say all_devices.")
    columns = schema.devices.c
    known = set(connection.scalars(select(columns.device).where(columns.revoked.is_(False))))
    wanted = list(dict.fromkeys(request.devices)) if request.devices else sorted(known)
    missing = [device for device in wanted if device not in known]
    if missing or not wanted:
        text = f"there is no device {missing[0]!r}, or it is revoked" if missing else "no device is enrolled"
        raise NotFoundError(text, "`eyelet-fleet devices` lists those that are enrolled.")
    is_open = _COLUMNS.state.in_(_OPEN) & (_COLUMNS.expires_at > now)
    full = select(_COLUMNS.device).where(is_open).group_by(_COLUMNS.device).having(func.count() >= OPEN_PER_DEVICE_MAX)
    if crowded := sorted(set(connection.scalars(full)) & set(wanted)):
        raise ConflictError(
            f"{crowded[0]} has {OPEN_PER_DEVICE_MAX} commands without a result already", "Cancel some, or wait until they expire."
        )
    return wanted


def _build_row(director: Director, request: CommandRequest, what: tuple[str, dict[str, Any]], now: float) -> dict[str, Any]:
    device, options = what
    command_id, expires_at = f"c-{secrets.token_hex(8)}", now + request.expires_in_s
    command = Command(Command.SCHEMA_VERSION, command_id, device, request.kind, to_text(expires_at), options)
    return {
        "command_id": command_id,
        "device": device,
        "kind": request.kind,
        "options": encode(options).decode(),
        "envelope": sign_document(encode(command), COMMAND_PAYLOAD_TYPE, director.key),
        "state": CommandState.WAITING.value,
        "created_at": now,
        "expires_at": expires_at,
    }


def send_waiting(connection: Connection, now: float, devices: Iterable[str]) -> int:
    """Send what has no result to those of `devices` that are connected, in the order it was made; returns how many commands."""
    presence = schema.presence.c
    online = set(connection.scalars(select(presence.device).where(presence.presence == Presence.ONLINE.value))) & set(devices)
    if not online:
        return 0
    wanted = _COLUMNS.state.in_(_OPEN) & (_COLUMNS.expires_at > now)
    query = select(_COLUMNS.command_id, _COLUMNS.device, _COLUMNS.envelope).where(wanted).order_by(_COLUMNS.number)
    query = query.where(_COLUMNS.device == next(iter(online))) if len(online) == 1 else query
    rows = [row for row in connection.execute(query) if row.device in online]
    queue_messages(connection, Channel.COMMAND, [(row.device, row.envelope) for row in rows], now)
    values = {"state": CommandState.SENT.value, "sent_at": func.coalesce(_COLUMNS.sent_at, now)}
    for begin in range(0, len(rows), IDS_PER_STATEMENT):
        ids = [row.command_id for row in rows[begin : begin + IDS_PER_STATEMENT]]
        connection.execute(update(schema.commands).where(_COLUMNS.command_id.in_(ids)).values(values))
    return len(rows)


def send_to_all(connection: Connection, now: float) -> int:
    """After the link to the broker came up: what was sent before may have been lost, as may its result."""
    devices = connection.scalars(select(_COLUMNS.device).where(_COLUMNS.state.in_(_OPEN)).distinct()).all()
    return send_waiting(connection, now, devices)


def note_result(connection: Connection, device: str, result: CommandResult, now: float) -> None:
    """Keep a result, the first one only; one of a command that this database does not know is left to the audit trail.

    What a device did counts, even where the command was cancelled or expired meanwhile.
    """
    found = connection.execute(select(schema.commands).where(_COLUMNS.command_id == result.command_id)).one_or_none()
    if found is not None and (found.device != device or found.state in {CommandState.DONE.value, CommandState.FAILED.value}):
        return
    actor, subject = f"device:{device}", result.command_id[:80]
    record(connection, at=now, actor=actor, action="command-result", subject=subject, ok=result.ok, text=result.text[:200])
    if found is None:
        return
    state = CommandState.DONE if result.ok else CommandState.FAILED
    if not result.ok and _state_of(found, now) is CommandState.EXPIRED:
        state = CommandState.EXPIRED
    data = encode(result.data)
    values = {
        "state": state.value,
        "ended_at": now,
        "text": result.text[:TEXT_MAX_CHARS],
        "data": data.decode() if len(data) <= DATA_MAX_BYTES else "{}",
    }
    connection.execute(update(schema.commands).where(_COLUMNS.command_id == result.command_id).values(values))


def cancel_command(connection: Connection, command_id: str, now: float) -> CommandView:
    """Take a command back. A device that has it already may still do it; samples are not taken any more.

    Raises:
        NotFoundError: there is no such command.
        ConflictError: it has ended.
    """
    view = get_command(connection, command_id, now)
    if view.state not in OPEN_COMMAND_STATES:
        raise ConflictError(f"the command {command_id} is {view.state.value} already")
    values = {"state": CommandState.CANCELLED.value, "ended_at": now}
    connection.execute(update(schema.commands).where(_COLUMNS.command_id == command_id).values(values))
    record(connection, at=now, actor=OPERATOR, action="command cancel", subject=view.device, command=command_id)
    return get_command(connection, command_id, now)


def expire_commands(connection: Connection, now: float) -> int:
    """Write down which commands got no result in time; returns how many."""
    passed = _COLUMNS.state.in_(_OPEN) & (_COLUMNS.expires_at <= now)
    values = {"state": CommandState.EXPIRED.value, "ended_at": _COLUMNS.expires_at}
    return connection.execute(update(schema.commands).where(passed).values(values)).rowcount


def drop_old_commands(connection: Connection, now: float, keep_s: float = KEEP_S) -> int:
    """Delete what ended longer ago than `keep_s`; the audit trail stays. Returns how many went."""
    return connection.execute(delete(schema.commands).where(_COLUMNS.ended_at < now - keep_s)).rowcount


class CommandQuery(NamedTuple):
    """Which commands to list; empty does not restrict."""

    device: str = ""
    state: str = ""
    kind: str = ""


def list_commands(connection: Connection, query: CommandQuery, limit: int, now: float) -> list[CommandView]:
    """The newest commands, newest first."""
    rows = select(schema.commands).order_by(_COLUMNS.number.desc())
    rows = rows.where(_COLUMNS.device == query.device) if query.device else rows
    rows = rows.where(_COLUMNS.kind == query.kind) if query.kind else rows
    found: list[CommandView] = []
    for row in connection.execute(rows):
        view = _view(row, now)
        if query.state in {"", view.state.value}:
            found.append(view)
        if len(found) == limit:
            break
    return found


def get_command(connection: Connection, command_id: str, now: float) -> CommandView:
    """One command.

    Raises:
        NotFoundError: there is none of this id.
    """
    row = connection.execute(select(schema.commands).where(_COLUMNS.command_id == command_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no command {command_id[:80]!r}", "`eyelet-fleet command list` lists them.")
    return _view(row, now)


def _state_of(row: Row[Any], now: float) -> CommandState:
    state = CommandState(row.state)
    return CommandState.EXPIRED if state in OPEN_COMMAND_STATES and row.expires_at <= now else state


def _view(row: Row[Any], now: float) -> CommandView:
    return CommandView(
        command_id=row.command_id,
        device=row.device,
        kind=row.kind,
        options=msgspec.json.decode(row.options, type=dict[str, Any]),
        state=_state_of(row, now),
        created_at=to_text(row.created_at),
        expires_at=to_text(row.expires_at),
        sent_at=to_text(row.sent_at),
        ended_at=to_text(row.ended_at),
        text=row.text,
        data=msgspec.json.decode(row.data, type=dict[str, Any]),
    )
