"""Take field samples in: only as the answer to a command, under caps, row and file together."""

from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, select

from contract.codec import encode
from contract.commands import OPEN_COMMAND_STATES, CommandState, UploadSamples
from contract.samples import SentSample, UploadState
from fleet_server.devices.commands import get_command
from fleet_server.errors import ConflictError, FullError, NotAllowedError
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store import schema

_COLUMNS = schema.samples.c
_ENDED = "The command has ended; the device keeps what is left of its samples."


class SampleLimits(NamedTuple):
    """How much the server keeps of one device and of the whole fleet, and how long."""

    device_bytes: int = 1 << 30
    fleet_bytes: int = 10 << 30
    keep_s: float = 90 * 86400.0


DEFAULT_LIMITS = SampleLimits()


class Arrival(NamedTuple):
    """A sample on its way in: from whom, as the answer to which command, and where its data lie already."""

    device: str
    command_id: str
    sample: SentSample
    temporary: Path


def view_upload(connection: Connection, device: str, command_id: str, now: float) -> UploadState:
    """How far the answer to an `upload_samples` has come.

    Raises:
        NotFoundError, NotAllowedError: it is no such command of this device.
        ConflictError: the command has ended.
    """
    command = get_command(connection, command_id, now)
    if command.device != device or command.kind != "upload_samples":
        raise NotAllowedError("samples are taken only as the answer to an upload_samples command for this very device")
    if command.state not in OPEN_COMMAND_STATES:
        words = {CommandState.EXPIRED: "has expired", CommandState.CANCELLED: "was cancelled"}
        raise ConflictError(f"the command {command_id} {words.get(command.state, 'is answered already')}", _ENDED)
    asked = msgspec.convert(command.options, UploadSamples)
    query = select(func.count(), func.coalesce(func.sum(_COLUMNS.size_bytes), 0)).where(_COLUMNS.command_id == command_id)
    count, size = connection.execute(query).one()
    left, left_bytes = max(0, asked.most - count), max(0, asked.most_bytes - size)
    return UploadState(command_id, samples=count, size_bytes=size, left=left, left_bytes=left_bytes)


def has_sample(connection: Connection, device: str, sha256: str) -> bool:
    """Whether this device sent this sample before."""
    return connection.scalar(select(_COLUMNS.id).where(_COLUMNS.device == device, _COLUMNS.sha256 == sha256)) is not None


def take_sample(connection: Connection, files: SampleFiles, limits: SampleLimits, arrival: Arrival, now: float) -> UploadState:
    """Keep a sample: the file gets its name, then the row is written; one that is here already changes nothing.

    Raises:
        NotFoundError, NotAllowedError, ConflictError: as `view_upload`.
        ConflictError: it is more than the command asked for.
        FullError: the device or the fleet has as many bytes here as it may.
    """
    state = view_upload(connection, arrival.device, arrival.command_id, now)
    sha256, size = arrival.sample.line.sha256, len(arrival.sample.data)
    if has_sample(connection, arrival.device, sha256):
        return state
    if not state.left or size > state.left_bytes:
        raise ConflictError("this is more than the command asked for", "The operator can ask again for more.")
    _check_room(connection, arrival.device, size, limits)
    files.keep(arrival.temporary, sha256)
    connection.execute(insert(schema.samples).values(_row(arrival, now)))
    return view_upload(connection, arrival.device, arrival.command_id, now)


def _check_room(connection: Connection, device: str, size: int, limits: SampleLimits) -> None:
    total = select(func.coalesce(func.sum(_COLUMNS.size_bytes), 0))
    for who, used, most in (
        (f"the device {device}", connection.scalar(total.where(_COLUMNS.device == device)), limits.device_bytes),
        ("the fleet", connection.scalar(total), limits.fleet_bytes),
    ):
        if (used or 0) + size > most:
            raise FullError(
                f"{who} has {used} bytes of samples on the server, at most {most} are kept",
                "Fetch the samples, then delete them: eyelet-fleet samples delete.",
            )


def _row(arrival: Arrival, now: float) -> dict[str, object]:
    line = arrival.sample.line
    return {
        "device": arrival.device,
        "sha256": line.sha256,
        "size_bytes": line.size_bytes,
        "command_id": arrival.command_id,
        "received_at": now,
        "application": line.application[:80],
        "model": line.model[:80],
        "version": max(-(2**62), min(2**62, line.version)),
        "label": line.label[:400],
        "score": line.score,
        "reason": line.reason[:80],
        "line": encode(line).decode(),
    }
