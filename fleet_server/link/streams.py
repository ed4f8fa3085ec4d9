"""Cumulative acknowledgement: up to where a device's stream is in the database, without a gap."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from fleet_server.store import schema

AHEAD_MAX = 10_000


def advance(committed_upto: int, ahead: Iterable[int], sequence: int) -> tuple[int, list[int]]:
    """Add one stored sequence; returns the new end without a gap and what lies beyond it (pure)."""
    beyond = {number for number in ahead if number > committed_upto}
    if sequence > committed_upto:
        beyond.add(sequence)
    while committed_upto + 1 in beyond:
        committed_upto += 1
        beyond.remove(committed_upto)
    return committed_upto, sorted(beyond)[:AHEAD_MAX]


def skip_to(first_sequence: int, committed_upto: int, ahead: Iterable[int]) -> tuple[int, list[int]]:
    """A device says which sequence is the oldest it still has: what lies before will never come (pure)."""
    beyond = sorted(ahead)
    return advance(max(committed_upto, first_sequence - 1), beyond, 0)


def read_stream(connection: Connection, device: str, stream: str) -> tuple[int, list[int]]:
    """End without a gap, and sequences beyond it; zero for a stream that is new."""
    columns = schema.streams.c
    row = connection.execute(select(schema.streams).where(columns.device == device, columns.stream == stream)).one_or_none()
    return (row.committed_upto, msgspec.json.decode(row.ahead, type=list[int])) if row is not None else (0, [])


def write_stream(connection: Connection, device: str, stream: str, end: tuple[int, list[int]]) -> int:
    """Store what `advance` gave; returns the sequence up to which all is committed."""
    values = {"committed_upto": end[0], "ahead": msgspec.json.encode(end[1]).decode()}
    statement = insert(schema.streams).values(device=device, stream=stream, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["device", "stream"], set_=values))
    return end[0]


def commit_sequence(connection: Connection, device: str, stream: str, sequence: int) -> int:
    """Count one stored sequence; returns up to where the stream is committed."""
    end = read_stream(connection, device, stream)
    return write_stream(connection, device, stream, advance(*end, sequence))
