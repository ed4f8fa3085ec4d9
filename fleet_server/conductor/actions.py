"""What an operator does to a rollout: compare-and-set on its revision."""

from sqlalchemy import Connection

from contract.rest import ROLLOUT_ACTIONS, RolloutAction
from contract.states import RolloutState
from fleet_server.audit import OPERATOR
from fleet_server.conductor.moves import Conduct, keep_decision, move
from fleet_server.conductor.reading import get_rollout, read_facts, read_spec
from fleet_server.errors import ConflictError, NotFoundError
from fleet_server.rollouts.lifecycle import Trigger


def act(connection: Connection, conduct: Conduct, rollout: str, action: str, body: RolloutAction) -> RolloutState:
    """Apply an operator's action; returns the new state.

    Raises:
        NotFoundError: no such rollout or action.
        ConflictError: the rollout's revision moved on, or its state does not know the action.
    """
    if action not in ROLLOUT_ACTIONS:
        raise NotFoundError(f"there is no action {action[:40]!r}", f"Use one of {', '.join(ROLLOUT_ACTIONS)}.")
    row = get_rollout(connection, rollout)
    if row.revision != body.revision:
        raise ConflictError(
            f"{rollout} has revision {row.revision} by now, the request expects {body.revision}", "Look at it again, then decide."
        )
    reason = body.reason[:500] or "by the operator"
    keep_decision(connection, conduct, rollout, kind=action, reason=reason, inputs=read_facts(connection, row, conduct.now))
    state = move(connection, conduct, rollout, Trigger(action), reason, actor=OPERATOR)
    if action == Trigger.APPROVE.value and read_spec(row).start:
        state = move(connection, conduct, rollout, Trigger.START, "approved", actor=OPERATOR)
    return state
