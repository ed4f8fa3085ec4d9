"""Turn an operator's spec into a rollout: check it, freeze the cohort, give each device its arm and phase."""

import secrets
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select

from contract.codec import encode
from contract.names import is_id, slug
from contract.rest import RolloutSpec, Verdict
from contract.states import RolloutState
from fleet_server.audit import OPERATOR, record
from fleet_server.conductor.moves import Conduct, move
from fleet_server.errors import FleetError, NotFoundError, RefusedError
from fleet_server.registry.lookup import get_application, get_version
from fleet_server.rollouts.cohort import Place, Weights, plan_cohort
from fleet_server.rollouts.comparison import compare_arms
from fleet_server.rollouts.facts import CONTROL, TREATMENT
from fleet_server.rollouts.lifecycle import first_triggers
from fleet_server.store import schema

ON_FAILURE = ("rollback", "pause")


def create_rollout(connection: Connection, conduct: Conduct, spec: RolloutSpec) -> str:
    """Create (and, unless the spec says otherwise, start) a rollout; returns its id.

    Raises:
        RefusedError, NotFoundError, InvalidNameError: the spec asks for something that can not be.
    """
    check_spec(spec)
    digests = _wanted_digests(connection, spec)
    if spec.application:
        get_application(connection, spec.application, spec.application_version, spec.model)
    places = plan_cohort(_cohort(connection, spec), salt := secrets.token_hex(16), spec.phases, _weights(spec))
    number = (connection.scalar(select(func.max(schema.rollouts.c.number))) or 0) + 1
    rollout = f"r{number}"
    row = {
        "number": number,
        "rollout": rollout,
        "spec": encode(spec).decode(),
        "state": RolloutState.DRAFT.value,
        "revision": 1,
        "phase": 0,
        "salt": salt,
        "created_at": conduct.now,
        "updated_at": conduct.now,
        "verdict": _outlook(connection, spec, places),
    }
    connection.execute(insert(schema.rollouts).values(row))
    connection.execute(insert(schema.assignments), [_assignment(rollout, place, digests) for place in places])
    record(connection, at=conduct.now, actor=OPERATOR, action="rollout create", subject=rollout, name=spec.name, devices=len(places))
    for trigger in first_triggers(spec):
        move(connection, conduct, rollout, trigger, "created")
    return rollout


def check_spec(spec: RolloutSpec) -> None:
    """Check what the types do not.

    Raises:
        FleetError: the name is none.
        RefusedError: phases that do not rise, an unknown `on_failure`, a control like the treatment.
    """
    if not is_id(spec.name):
        raise FleetError(
            f"the rollout's name {spec.name[:80]!r} is not valid: use 1 to 63 of a-z, 0-9 and -, not beginning or ending with -",
            f"Call it {slug(spec.name, f'{spec.model}-{spec.version}')!r}, for one.",
        )
    shares = [phase.share_bp for phase in spec.phases]
    if not shares or shares != sorted(set(shares)):
        raise RefusedError(
            f"the phases have shares {shares} (basis points), expected rising ones", "Give each phase a larger share than the one before."
        )
    if spec.on_failure not in ON_FAILURE:
        raise RefusedError(f"on_failure is {spec.on_failure[:40]!r}, expected one of {', '.join(ON_FAILURE)}")
    if spec.control_version == spec.version:
        raise RefusedError(f"control and treatment are both version {spec.version}", "Choose another control version, or none.")


def _wanted_digests(connection: Connection, spec: RolloutSpec) -> dict[str, str]:
    digests = {TREATMENT: get_version(connection, spec.model, spec.version).manifest.sha256}
    if spec.control_version is not None:
        digests[CONTROL] = get_version(connection, spec.model, spec.control_version).manifest.sha256
    return digests


def _cohort(connection: Connection, spec: RolloutSpec) -> dict[str, str]:
    columns = schema.devices.c
    rows = connection.execute(select(columns.device, columns.hardware_class).where(columns.revoked.is_(False)))
    classes = {row.device: row.hardware_class for row in rows}
    missing = sorted(set(spec.devices) - set(classes))
    if missing:
        raise NotFoundError(f"these devices are not enrolled (or revoked): {', '.join(missing[:10])}")
    if spec.devices:
        classes = {device: classes[device] for device in spec.devices}
    if not classes:
        raise RefusedError("no device is enrolled yet", "Make a claim in the studio and enrol a device first.")
    return classes


def _weights(spec: RolloutSpec) -> Weights:
    return Weights(spec.control_weight if spec.control_version is not None else 0, spec.treatment_weight)


def _assignment(rollout: str, place: Place, digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "rollout": rollout,
        "device": place.device,
        "position": place.position,
        "arm": place.arm,
        "phase": place.phase,
        "wanted_digest": digests[place.arm],
    }


def _outlook(connection: Connection, spec: RolloutSpec, places: Sequence[Place]) -> str | None:
    """What the fleet can detect, said before the start: from the latencies that its devices have now."""
    if spec.control_version is None:
        return None
    columns = schema.presence.c
    rows = connection.execute(select(columns.device, columns.latency_mean_ms).where(columns.latency_mean_ms.is_not(None)))
    latencies = {row.device: row.latency_mean_ms for row in rows}
    arms = {arm: [latencies[p.device] for p in places if p.arm == arm and p.device in latencies] for arm in (CONTROL, TREATMENT)}
    verdict = compare_arms(_centred(arms[CONTROL], arms), _centred(arms[TREATMENT], arms), planned=max(60, len(places)), margin=0.0)
    sizes = {arm: sum(p.arm == arm for p in places) for arm in (CONTROL, TREATMENT)}
    text = f"before the start, from the present latencies of {len(latencies)} devices: {verdict.text}"
    outlook = Verdict(verdict.verdict, text, verdict.metric, detectable_difference=verdict.detectable_difference, devices_per_arm=sizes)
    return encode(outlook).decode()


def _centred(values: Sequence[float], arms: Mapping[str, Sequence[float]]) -> list[float]:
    """Values of one arm, moved to the common mean: before the start there is no difference to see."""
    everything = [value for arm in arms.values() for value in arm]
    if not values:
        return []
    shift = statistics.fmean(everything) - statistics.fmean(values)
    return [value + shift for value in values]
