"""One pass over the active rollouts: read facts, decide, apply, until each has to wait."""

import logging
from typing import Any

from sqlalchemy import Connection, Row, update

from contract.codec import encode
from contract.states import RolloutState
from fleet_server.conductor.moves import Conduct, call_back, expose, keep_decision, move, start_phase
from fleet_server.conductor.reading import get_rollout, read_facts, read_spec
from fleet_server.rollouts.decision import Decision, decide
from fleet_server.rollouts.lifecycle import ACTIVE, Trigger
from fleet_server.store import schema

_LOG = logging.getLogger(__name__)
STEPS_PER_PASS = 20


def has_work(connection: Connection, rollout: str, now: float) -> bool:
    """Whether a rollout would act now; a reader's look, so that waiting costs no write."""
    row = get_rollout(connection, rollout)
    return RolloutState(row.state) in ACTIVE and decide(read_facts(connection, row, now)).acts


def reconcile(connection: Connection, conduct: Conduct, rollout: str) -> int:
    """Apply decisions of one rollout until it waits; returns how many steps were made."""
    for step in range(STEPS_PER_PASS):
        row = get_rollout(connection, rollout)
        if RolloutState(row.state) not in ACTIVE:
            return step
        facts = read_facts(connection, row, conduct.now)
        decision = decide(facts)
        if not decision.acts:
            return step
        if decision.trigger is not None or decision.next_phase is not None:
            kind = decision.trigger.value if decision.trigger else "next_phase"
            keep_decision(connection, conduct, rollout, kind=kind, reason=decision.reason, inputs=facts)
            _LOG.info("Rollout %s: %s (%s)", rollout, kind, decision.reason)
        _apply(connection, conduct, row, decision)
    return STEPS_PER_PASS


def _apply(connection: Connection, conduct: Conduct, row: Row[Any], decision: Decision) -> None:
    expose(connection, conduct, row, decision.expose)
    call_back(connection, conduct, row, decision.call_back)
    values: dict[str, Any] = {
        "gates": encode(decision.gates).decode(),
        "verdict": encode(decision.verdict).decode() if decision.verdict else row.verdict,
        "updated_at": conduct.now,
    }
    if decision.next_phase is not None:
        values |= start_phase(read_spec(row), decision.next_phase, conduct.now)
        values |= {"state_reason": decision.reason, "revision": row.revision + 1}
    connection.execute(update(schema.rollouts).where(schema.rollouts.c.rollout == row.rollout).values(values))
    if decision.trigger is not None:
        cause = f"{row.state_reason}; " if decision.trigger is Trigger.ALL_BACK else ""  # why it went back stays on the screen
        move(connection, conduct, row.rollout, decision.trigger, cause + decision.reason)
