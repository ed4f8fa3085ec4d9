"""List, find and delete the field samples that the server keeps."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, delete, select

from contract.samples import FieldSample, SampleView
from fleet_server.audit import OPERATOR, SERVER, record
from fleet_server.errors import NotFoundError
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store import schema
from fleet_server.times import to_text

_COLUMNS = schema.samples.c
_FILTERS = ("device", "application", "model", "label", "reason", "command_id")


class SampleQuery(NamedTuple):
    """Which samples to list; empty (and a `below_score` of 0) does not restrict."""

    device: str = ""
    application: str = ""
    model: str = ""
    label: str = ""
    reason: str = ""
    command_id: str = ""
    below_score: float = 0.0


def list_samples(connection: Connection, query: SampleQuery, after: int, limit: int) -> list[SampleView]:
    """Samples with an id above `after`, in the order in which they came."""
    rows = select(schema.samples).where(_COLUMNS.id > after).order_by(_COLUMNS.id).limit(limit)
    for name in _FILTERS:
        if wanted := getattr(query, name):
            rows = rows.where(_COLUMNS[name] == wanted)
    if query.below_score:
        rows = rows.where(_COLUMNS.score < query.below_score)
    return [_view(row) for row in connection.execute(rows)]


def get_sample(connection: Connection, sample_id: int) -> SampleView:
    """One sample.

    Raises:
        NotFoundError: there is none of this id.
    """
    row = connection.execute(select(schema.samples).where(_COLUMNS.id == sample_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no sample {sample_id}", "`eyelet-fleet samples list` lists them.")
    return _view(row)


def delete_sample(connection: Connection, sample_id: int, now: float) -> SampleView:
    """Delete a row; its file goes with `remove_unused`, once this is committed.

    Raises:
        NotFoundError: there is none of this id.
    """
    view = get_sample(connection, sample_id)
    connection.execute(delete(schema.samples).where(_COLUMNS.id == sample_id))
    record(connection, at=now, actor=OPERATOR, action="sample delete", subject=view.device, sha256=view.sha256)
    return view


def drop_old_samples(connection: Connection, now: float, keep_s: float) -> list[str]:
    """Delete the rows of samples that are older than `keep_s`; returns the digests whose files may go."""
    is_old = _COLUMNS.received_at < now - keep_s
    gone = list(connection.scalars(select(_COLUMNS.sha256).where(is_old)))
    if gone:
        connection.execute(delete(schema.samples).where(is_old))
        record(connection, at=now, actor=SERVER, action="sample retention", subject="samples", deleted=len(gone))
    return gone


def remove_unused(connection: Connection, files: SampleFiles, digests: Iterable[str]) -> None:
    """Remove the files that no row names any more; a piece of work of its own, after the rows' deletion is committed."""
    for sha256 in set(digests):
        if connection.scalar(select(_COLUMNS.id).where(_COLUMNS.sha256 == sha256).limit(1)) is None:
            files.remove(sha256)


def _view(row: Row[Any]) -> SampleView:
    line = msgspec.json.decode(row.line, type=FieldSample)
    return SampleView(row.id, row.device, row.sha256, row.command_id, to_text(row.received_at), line)
