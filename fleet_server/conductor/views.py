"""A rollout as the operator sees it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from contract.rest import ArmView, AssignmentView, GateView, RolloutSpec, RolloutView, Verdict
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram, merge, merge_counts
from contract.states import RolloutState, UpdateState
from fleet_server.conductor.pairs import view_pairs
from fleet_server.conductor.reading import get_rollout, read_facts, read_spec
from fleet_server.rollouts.decision import judge_arms
from fleet_server.rollouts.facts import CONTROL, TREATMENT
from fleet_server.rollouts.gates import evaluate_gates
from fleet_server.rollouts.lifecycle import ACTIVE
from fleet_server.store import schema
from fleet_server.times import to_text

LIST_MAX = 50


def list_rollouts(connection: Connection, now: float) -> list[RolloutView]:
    """The newest rollouts, newest first."""
    rows = connection.execute(select(schema.rollouts).order_by(schema.rollouts.c.number.desc()).limit(LIST_MAX)).all()
    return [_with_pairs(connection, row, now) if RolloutState(row.state) in ACTIVE else _view(connection, row, now) for row in rows]


def view_rollout(connection: Connection, rollout: str, now: float) -> RolloutView:
    """One rollout.

    Raises:
        NotFoundError: there is none.
    """
    return _with_pairs(connection, get_rollout(connection, rollout), now)


def _with_pairs(connection: Connection, row: Row[Any], now: float) -> RolloutView:
    return msgspec.structs.replace(_view(connection, row, now), paired=view_pairs(connection, row))


def _view(connection: Connection, row: Row[Any], now: float) -> RolloutView:
    spec = read_spec(row)
    columns = schema.assignments.c
    query = select(schema.assignments).where(columns.rollout == row.rollout).order_by(columns.position)
    assignments = connection.execute(query).all()
    gates, verdict = _findings(connection, row, now)
    return RolloutView(
        rollout=row.rollout,
        spec=spec,
        state=RolloutState(row.state),
        revision=row.revision,
        phase=row.phase,
        created_at=to_text(row.created_at),
        updated_at=to_text(row.updated_at),
        state_reason=row.state_reason,
        gates=gates,
        arms=_arms(connection, row.rollout, spec, assignments),
        assignments=tuple(_assignment(found, now) for found in assignments),
        verdict=verdict,
        phase_ends_at=to_text(row.phase_ends_at),
    )


def _findings(connection: Connection, row: Row[Any], now: float) -> tuple[tuple[GateView, ...], Verdict | None]:
    stored = msgspec.json.decode(row.verdict, type=Verdict) if row.verdict else None
    state = RolloutState(row.state)
    if state not in ACTIVE and state is not RolloutState.SUCCEEDED:
        return msgspec.json.decode(row.gates, type=tuple[GateView, ...]), stored
    facts = read_facts(connection, row, now)
    verdict = judge_arms(facts) or stored  # valid at every look, so it goes on after the success
    return evaluate_gates(facts) if state in ACTIVE else msgspec.json.decode(row.gates, type=tuple[GateView, ...]), verdict


def _assignment(row: Row[Any], now: float) -> AssignmentView:
    late = row.deadline_at is not None and not row.settled and now >= row.deadline_at
    return AssignmentView(
        device=row.device,
        arm=row.arm,
        phase=row.phase,
        revision=row.revision,
        state=UpdateState(row.state) if row.state else None,
        settled=row.settled,
        failed=row.failed,
        reason="unreachable" if late else row.reason,
        detail=row.detail or ("it was asked to update and has not answered within its deadline" if late else ""),
        rolled_back_by=row.rolled_back_by,
    )


def _arms(connection: Connection, rollout: str, spec: RolloutSpec, assignments: Sequence[Row[Any]]) -> tuple[ArmView, ...]:
    totals = {row.device: row for row in connection.execute(select(schema.totals).where(schema.totals.c.rollout == rollout))}
    arms = [(TREATMENT, spec.version)]
    if spec.control_version is not None:
        arms.insert(0, (CONTROL, spec.control_version))
    return tuple(_arm(arm, version, [row.device for row in assignments if row.arm == arm], totals) for arm, version in arms)


def _arm(arm: str, version: int, devices: Sequence[str], totals: dict[str, Row[Any]]) -> ArmView:
    rows = [totals[device] for device in devices if device in totals]
    latency = _merged([row.latency_us for row in rows], LATENCY_BOUNDS_US)
    confidence = _merged([row.confidence for row in rows], CONFIDENCE_BOUNDS)
    counts: dict[str, int] = {}
    for row in rows:
        counts = merge_counts(counts, msgspec.json.decode(row.class_counts, type=dict[str, int]))
    p50, p95 = latency.quantile(0.5), latency.quantile(0.95)
    scores = [msgspec.json.decode(row.drift)["score"] for row in rows if row.drift]
    return ArmView(
        arm=arm,
        version=version,
        devices=tuple(devices),
        inferences=sum(row.inferences for row in rows),
        errors=sum(row.errors for row in rows),
        latency_p50_ms=p50 / 1000 if p50 is not None else None,
        latency_p95_ms=p95 / 1000 if p95 is not None else None,
        mean_confidence=confidence.mean,
        class_counts=dict(sorted(counts.items())),
        drift=max(scores) if scores else None,
    )


def _merged(documents: Sequence[str], bounds: Sequence[float]) -> Histogram:
    merged: Histogram | None = None
    for document in documents:
        histogram = msgspec.json.decode(document, type=Histogram)
        if merged is None:
            merged = histogram
        elif merged.bounds == histogram.bounds:
            merged = merge(merged, histogram)
    return merged or Histogram.empty(bounds)
