"""Move a rollout from state to state, ask devices and call them back; each inside the caller's transaction."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from contract.codec import decode, encode
from contract.messages import DEFAULT_SLOT, DesiredModel, DesiredSlot, Reported
from contract.rest import RolloutSpec
from contract.states import RolloutState
from fleet_server.audit import SERVER, record
from fleet_server.conductor.reading import get_rollout, read_spec
from fleet_server.devices.desired import Director, Wish, find_desired, issue
from fleet_server.errors import ConflictError
from fleet_server.registry.lookup import find_version_by_digest, get_application, get_version
from fleet_server.rollouts.facts import CONTROL
from fleet_server.rollouts.lifecycle import ACTIVE, Trigger, next_state, triggers_from
from fleet_server.store import schema
from fleet_server.store.database import Change, mark

KEEPS = "it had no version before: the wish is withdrawn and it keeps its last known good one, if it has any"


class Conduct(NamedTuple):
    """Who signs and what time it is."""

    director: Director
    now: float


def move(connection: Connection, conduct: Conduct, rollout: str, trigger: Trigger, reason: str, *, actor: str = SERVER) -> RolloutState:
    """Apply a trigger; returns the new state.

    Raises:
        ConflictError: the rollout's state does not know this trigger.
    """
    row = get_rollout(connection, rollout)
    before = RolloutState(row.state)
    after = next_state(before, trigger)
    if after is None:
        known = ", ".join(triggers_from(before)) or "nothing, it is over"
        raise ConflictError(f"{rollout} is {before.value}; {trigger.value} is not possible (possible: {known})")
    values: dict[str, Any] = {"state": after.value, "state_reason": reason, "revision": row.revision + 1, "updated_at": conduct.now}
    values |= _moments(row, trigger, conduct.now)
    connection.execute(update(schema.rollouts).where(schema.rollouts.c.rollout == rollout).values(values))
    record(
        connection,
        at=conduct.now,
        actor=actor,
        action=f"rollout {trigger.value}",
        subject=rollout,
        before=before.value,
        after=after.value,
        reason=reason,
    )
    if trigger is Trigger.START:
        _supersede_others(connection, conduct, rollout)
    if trigger is Trigger.ABORT and before in ACTIVE:
        _stop_unfinished(connection, conduct, row)
    mark(connection, Change.ROLLOUTS)
    return after


def _moments(row: Row[Any], trigger: Trigger, now: float) -> dict[str, Any]:
    if trigger is Trigger.START:
        return start_phase(read_spec(row), 0, now)
    if trigger in {Trigger.GATE_FAILED, Trigger.ROLLBACK}:
        return {"rollback_started_at": now, "phase_ends_at": None}
    return {}


def start_phase(spec: RolloutSpec, phase: int, now: float) -> dict[str, Any]:
    """The columns that begin a phase."""
    return {"phase": phase, "phase_started_at": now, "phase_ends_at": now + spec.phases[phase].duration_s}


def _supersede_others(connection: Connection, conduct: Conduct, rollout: str) -> None:
    assignments, rollouts = schema.assignments, schema.rollouts
    mine = select(assignments.c.device).where(assignments.c.rollout == rollout)
    query = select(rollouts.c.rollout).distinct().join(assignments, assignments.c.rollout == rollouts.c.rollout)
    query = query.where(
        rollouts.c.rollout != rollout, rollouts.c.state.in_([state.value for state in ACTIVE]), assignments.c.device.in_(mine)
    )
    for other in connection.scalars(query).all():
        move(connection, conduct, other, Trigger.SUPERSEDE, f"{rollout} has begun on the same devices")


def _stop_unfinished(connection: Connection, conduct: Conduct, row: Row[Any]) -> None:
    """On abort devices that are done keep the version; those that are not are called back."""
    columns = schema.assignments.c
    query = select(schema.assignments).where(columns.rollout == row.rollout, columns.revision > 0, columns.rollback_revision == 0)
    query = query.where(columns.settled.is_(False) | columns.failed.is_(True))
    call_back(connection, conduct, row, [found.device for found in connection.execute(query)])


def expose(connection: Connection, conduct: Conduct, row: Row[Any], devices: Iterable[str]) -> None:
    """Ask devices of a rollout to update, each with a new desired revision."""
    spec = read_spec(row)
    columns = schema.assignments.c
    for device in devices:
        mine = (columns.rollout == row.rollout) & (columns.device == device)
        arm = connection.scalar(select(columns.arm).where(mine))
        previous = slot_before(connection, device)
        wish = Wish(_wanted_slot(connection, row, arm or "", previous), spec.policy, spec.telemetry, spec.agent_min_version)
        values = {
            "revision": issue(connection, conduct.director, device, wish, conduct.now),
            "previous": encode(previous).decode() if previous else None,
            "exposed_at": conduct.now,
            "deadline_at": conduct.now + spec.device_deadline_s,
        }
        connection.execute(update(schema.assignments).where(mine).values(values))


def _wanted_slot(connection: Connection, row: Row[Any], arm: str, previous: DesiredSlot | None) -> DesiredSlot:
    spec = read_spec(row)
    version = spec.control_version if arm == CONTROL and spec.control_version is not None else spec.version
    found = get_version(connection, spec.model, version)
    model = DesiredModel(found.model, found.version, found.manifest, row.rollout, arm, spec.force)
    application = previous.application if previous else None
    if spec.application:
        application = get_application(connection, spec.application, spec.application_version, spec.model)
    return DesiredSlot(model, application)


def slot_before(connection: Connection, device: str) -> DesiredSlot | None:
    """What a device has now: its last known good version as it reported it, else its present wish; None for nothing."""
    current = find_desired(connection, device)
    wished = current.slots.get(DEFAULT_SLOT) if current else None
    body = connection.scalar(select(schema.reported.c.body).where(schema.reported.c.device == device))
    slot = decode(body.encode(), Reported, "the reported state").slots.get(DEFAULT_SLOT) if body else None
    if slot is None:
        return wished
    application = wished.application if wished else None
    model = find_version_by_digest(connection, slot.last_known_good.digest) if slot.last_known_good else None
    return DesiredSlot(model, application) if model or application else None


def call_back(connection: Connection, conduct: Conduct, row: Row[Any], devices: Iterable[str]) -> None:
    """Wish each device back to what it had before the rollout, with a newer revision."""
    spec = read_spec(row)
    columns = schema.assignments.c
    for device in devices:
        mine = (columns.rollout == row.rollout) & (columns.device == device)
        found = connection.execute(select(schema.assignments).where(mine)).one()
        slot = msgspec.json.decode(found.previous, type=DesiredSlot) if found.previous else DesiredSlot()
        if slot.model and find_version_by_digest(connection, slot.model.manifest.sha256) is None:
            slot = DesiredSlot(None, slot.application)  # it was withdrawn meanwhile; the device would refuse it
        wish = Wish(_without_rollout(slot), spec.policy.without_windows(), spec.telemetry)
        values: dict[str, Any] = {"rollback_revision": issue(connection, conduct.director, device, wish, conduct.now)}
        values |= {"rolled_back_by": found.rolled_back_by or "rollout"}
        if slot.model is None:
            values |= {"back": True, "detail": f"{found.detail}; {KEEPS}" if found.detail else KEEPS}
        connection.execute(update(schema.assignments).where(mine).values(values))


def _without_rollout(slot: DesiredSlot) -> DesiredSlot:
    model = slot.model
    return DesiredSlot(DesiredModel(model.model, model.version, model.manifest), slot.application) if model else slot


def keep_decision(connection: Connection, conduct: Conduct, rollout: str, *, kind: str, reason: str, inputs: object) -> None:
    """Write a decision with the facts it was made from."""
    row = {"rollout": rollout, "at": conduct.now, "kind": kind, "reason": reason, "inputs": encode(inputs).decode()}
    connection.execute(insert(schema.decisions).values(row))
