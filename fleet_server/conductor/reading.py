"""Read a rollout's facts from the database."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from contract.messages import Drift
from contract.rest import RolloutSpec
from contract.sketches import Histogram
from contract.states import RolloutState, UpdateState
from fleet_server.errors import NotFoundError
from fleet_server.rollouts.facts import DeviceFacts, RolloutFacts
from fleet_server.rollouts.lifecycle import ACTIVE
from fleet_server.store import schema


def list_active(connection: Connection) -> list[str]:
    """Rollouts to which the rules apply now, oldest first."""
    columns = schema.rollouts.c
    query = select(columns.rollout).where(columns.state.in_([state.value for state in ACTIVE])).order_by(columns.number)
    return list(connection.scalars(query))


def get_rollout(connection: Connection, rollout: str) -> Row[Any]:
    """The row of one rollout.

    Raises:
        NotFoundError: there is none.
    """
    row = connection.execute(select(schema.rollouts).where(schema.rollouts.c.rollout == rollout)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no rollout {rollout[:80]!r}", "`eyelet-fleet rollout list` shows them.")
    return row


def read_spec(row: Row[Any]) -> RolloutSpec:
    """The spec of a rollout's row."""
    return msgspec.json.decode(row.spec, type=RolloutSpec)


def read_facts(connection: Connection, row: Row[Any], now: float) -> RolloutFacts:
    """Everything that the next decision depends on."""
    assignments, totals = schema.assignments, schema.totals
    joined = assignments.outerjoin(totals, (totals.c.rollout == assignments.c.rollout) & (totals.c.device == assignments.c.device))
    query = select(assignments, totals.c.inferences, totals.c.errors, totals.c.latency_us, totals.c.confidence, totals.c.drift).select_from(
        joined
    )
    query = query.where(assignments.c.rollout == row.rollout).order_by(assignments.c.position)
    return RolloutFacts(
        schema_version=RolloutFacts.SCHEMA_VERSION,
        spec=read_spec(row),
        state=RolloutState(row.state),
        phase=row.phase,
        now=now,
        devices=tuple(_device(found) for found in connection.execute(query)),
        phase_started_at=row.phase_started_at,
        rollback_started_at=row.rollback_started_at,
    )


def _device(row: Row[Any]) -> DeviceFacts:
    latency = msgspec.json.decode(row.latency_us, type=Histogram) if row.latency_us else None
    confidence = msgspec.json.decode(row.confidence, type=Histogram) if row.confidence else None
    drift = msgspec.json.decode(row.drift, type=Drift) if row.drift else None
    return DeviceFacts(
        device=row.device,
        arm=row.arm,
        phase=row.phase,
        exposed_at=row.exposed_at,
        deadline_at=row.deadline_at,
        started=row.started,
        state=UpdateState(row.state) if row.state else None,
        settled=row.settled,
        failed=row.failed,
        version_fault=row.version_fault,
        called_back=row.rollback_revision > 0,
        back=row.back,
        inferences=row.inferences or 0,
        errors=row.errors or 0,
        latency_mean_ms=_in_ms(latency.mean if latency else None),
        latency_p95_ms=_in_ms(latency.quantile(0.95) if latency else None),
        mean_confidence=confidence.mean if confidence else None,
        drift_score=drift.score if drift else None,
        drift_state=drift.state if drift else "",
    )


def _in_ms(microseconds: float | None) -> float | None:
    return microseconds / 1000 if microseconds is not None else None
