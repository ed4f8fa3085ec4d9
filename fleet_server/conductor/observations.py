"""Write down what devices say about the rollouts they are part of."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.sqlite import insert

from contract.codec import encode, utc_now
from contract.errors import FormatError
from contract.messages import DEFAULT_SLOT, DesiredSlot, Reported, ReportedSlot, UpdateEvent, UpdateReport, Window
from contract.sketches import Histogram, merge, merge_counts
from contract.states import FINAL_UPDATE_STATES, VERSION_FAULTS, FailureReason, UpdateState
from fleet_server.rollouts.lifecycle import ACTIVE
from fleet_server.store import schema
from fleet_server.store.database import Change, mark
from fleet_server.times import from_text

_ASSIGNMENTS = schema.assignments
_NOT_FAULTY = frozenset({FailureReason.SUPERSEDED})


def note_update(connection: Connection, device: str, change: UpdateEvent | UpdateReport) -> None:
    """Apply a step of an update to the assignment that asked for it (by the desired revision)."""
    columns = _ASSIGNMENTS.c
    query = select(_ASSIGNMENTS).where(columns.device == device, columns.revision == change.revision, columns.revision > 0)
    for row in connection.execute(query).all():
        if not _is_news(row, change):
            continue
        values = settle(change.state, change.reason)
        values |= {"attempt": change.attempt, "detail": change.detail[:2000]}
        if values["failed"] and change.state in FINAL_UPDATE_STATES:
            values["rolled_back_by"] = row.rolled_back_by or "device"
        _update(connection, row, values)


def _is_news(row: Row[Any], change: UpdateEvent | UpdateReport) -> bool:
    if change.target.digest != row.wanted_digest or change.attempt < row.attempt:
        return False
    late = row.settled and change.attempt == row.attempt and change.state not in FINAL_UPDATE_STATES
    same = row.state == change.state.value and row.attempt == change.attempt
    same = same and (row.settled or row.detail == change.detail)  # what it waits for changes within a state
    return not late and not same  # an old event from the outbox does not reopen what a newer report settled


def settle(state: UpdateState, reason: FailureReason | None) -> dict[str, Any]:
    """What an update state means for an assignment (pure)."""
    final = state in FINAL_UPDATE_STATES
    failed = final and state is not UpdateState.DONE and reason not in _NOT_FAULTY
    return {
        "started": True,
        "state": state.value,
        "settled": final,
        "failed": failed,
        "version_fault": failed and reason in VERSION_FAULTS,
        "reason": reason.value if reason else "",
    }


def note_reported(connection: Connection, device: str, reported: Reported) -> None:
    """Apply a device's whole reported state to its assignments."""
    slot = reported.slots.get(DEFAULT_SLOT)
    if slot is None:
        return
    if slot.update is not None:
        note_update(connection, device, slot.update)
    columns = _ASSIGNMENTS.c
    seen = reported.desired_revision_seen
    query = select(_ASSIGNMENTS).where(columns.device == device, columns.revision > 0)
    query = query.where(
        (columns.settled.is_(False) & (columns.revision <= seen)) | (columns.back.is_(False) & (columns.rollback_revision > 0))
    )
    for row in connection.execute(query).all():
        if not row.settled and row.revision <= seen and _runs(slot, row.wanted_digest, row.revision):
            _update(connection, row, settle(UpdateState.DONE, None) | {"detail": "it ran this version already"})
        if not row.back and 0 < row.rollback_revision <= seen and _runs(slot, _digest_before(row), row.rollback_revision):
            _update(connection, row, {"back": True})


def _runs(slot: ReportedSlot, digest: str, revision: int) -> bool:
    if slot.current is None or slot.current.digest != digest:
        return False
    return slot.update is None or slot.update.revision != revision or slot.update.state in FINAL_UPDATE_STATES


def _digest_before(row: Row[Any]) -> str:
    if row.previous is None:
        return ""
    slot = msgspec.json.decode(row.previous, type=DesiredSlot)
    return slot.model.manifest.sha256 if slot.model else ""


def _update(connection: Connection, row: Row[Any], values: dict[str, Any]) -> None:
    columns = _ASSIGNMENTS.c
    connection.execute(update(_ASSIGNMENTS).where(columns.rollout == row.rollout, columns.device == row.device).values(values))
    mark(connection, Change.ROLLOUTS)


def note_window(connection: Connection, device: str, window: Window) -> None:
    """Add a window to the totals of the rollout it belongs to, and keep the device's last latency."""
    p95 = window.latency_us.quantile(0.95)
    mean = window.latency_us.mean
    if p95 is not None and mean is not None:
        values = {"latency_p95_ms": p95 / 1000, "latency_mean_ms": mean / 1000}
        connection.execute(update(schema.presence).where(schema.presence.c.device == device).values(values))
    rollout = _rollout_of(connection, device, window)
    if rollout is not None:
        _add_to_totals(connection, rollout, device, window)
        mark(connection, Change.ROLLOUTS)


def _rollout_of(connection: Connection, device: str, window: Window) -> str | None:
    columns = _ASSIGNMENTS.c
    query = select(columns.rollout, columns.exposed_at).where(columns.device == device, columns.wanted_digest == window.target.digest)
    query = query.where(columns.revision > 0)
    if window.rollout:
        rollout: str | None = connection.scalar(query.where(columns.rollout == window.rollout))
        return rollout
    query = query.join(schema.rollouts, schema.rollouts.c.rollout == columns.rollout)
    query = query.where(schema.rollouts.c.state.in_([state.value for state in ACTIVE])).order_by(schema.rollouts.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()  # a device of the control arm may run its version since before
    return row.rollout if row is not None and _moment(window.started_at) >= row.exposed_at else None


def _moment(text: str) -> float:
    try:
        return from_text(text)
    except FormatError:
        return from_text(utc_now())


def _add_to_totals(connection: Connection, rollout: str, device: str, window: Window) -> None:
    columns = schema.totals.c
    row = connection.execute(select(schema.totals).where(columns.rollout == rollout, columns.device == device)).one_or_none()
    values = {
        "inferences": window.count + (row.inferences if row else 0),
        "errors": window.errors + (row.errors if row else 0),
        "latency_us": _merged(row.latency_us if row else None, window.latency_us),
        "confidence": _merged(row.confidence if row else None, window.confidence),
        "class_counts": encode(merge_counts(msgspec.json.decode(row.class_counts) if row else {}, window.class_counts)).decode(),
        "drift": encode(window.drift).decode() if window.drift else (row.drift if row else None),
    }
    statement = insert(schema.totals).values(rollout=rollout, device=device, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["rollout", "device"], set_=values))


def _merged(stored: str | None, fresh: Histogram) -> str:
    if stored is None:
        return encode(fresh).decode()
    before = msgspec.json.decode(stored, type=Histogram)
    try:
        return encode(merge(before, fresh)).decode()
    except FormatError:
        return stored  # an agent of another version with other bounds: its counts can not be added
