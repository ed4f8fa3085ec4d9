"""The state machine of a rollout, as one table."""

from enum import Enum

from contract.rest import RolloutSpec
from contract.states import FINAL_ROLLOUT_STATES, RolloutState


class Trigger(str, Enum):
    """What moves a rollout: an operator's action, or what the rules found."""

    ASK_APPROVAL = "ask_approval"
    SUBMIT = "submit"
    APPROVE = "approve"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLLBACK = "rollback"
    GATE_FAILED = "gate_failed"
    GATE_FAILED_PAUSE = "gate_failed_pause"
    UNDECIDED = "undecided"
    ALL_PASSED = "all_passed"
    ALL_BACK = "all_back"
    SUPERSEDE = "supersede"


_S, _T = RolloutState, Trigger

TRANSITIONS: dict[tuple[RolloutState, Trigger], RolloutState] = {
    (_S.DRAFT, _T.ASK_APPROVAL): _S.WAITING_FOR_APPROVAL,
    (_S.DRAFT, _T.SUBMIT): _S.READY,
    (_S.WAITING_FOR_APPROVAL, _T.APPROVE): _S.READY,
    (_S.READY, _T.START): _S.RUNNING,
    (_S.RUNNING, _T.PAUSE): _S.PAUSED,
    (_S.RUNNING, _T.GATE_FAILED_PAUSE): _S.PAUSED,
    (_S.RUNNING, _T.UNDECIDED): _S.PAUSED,
    (_S.PAUSED, _T.RESUME): _S.RUNNING,
    (_S.RUNNING, _T.GATE_FAILED): _S.ROLLING_BACK,
    (_S.PAUSED, _T.GATE_FAILED): _S.ROLLING_BACK,
    (_S.RUNNING, _T.ROLLBACK): _S.ROLLING_BACK,
    (_S.PAUSED, _T.ROLLBACK): _S.ROLLING_BACK,
    (_S.ROLLING_BACK, _T.ALL_BACK): _S.ROLLED_BACK,
    (_S.RUNNING, _T.ALL_PASSED): _S.SUCCEEDED,
    (_S.DRAFT, _T.ABORT): _S.ABORTED,
    (_S.WAITING_FOR_APPROVAL, _T.ABORT): _S.ABORTED,
    (_S.READY, _T.ABORT): _S.ABORTED,
    (_S.RUNNING, _T.ABORT): _S.ABORTED,
    (_S.PAUSED, _T.ABORT): _S.ABORTED,
    (_S.ROLLING_BACK, _T.ABORT): _S.ABORTED,
    (_S.RUNNING, _T.SUPERSEDE): _S.SUPERSEDED,
    (_S.PAUSED, _T.SUPERSEDE): _S.SUPERSEDED,
    (_S.ROLLING_BACK, _T.SUPERSEDE): _S.SUPERSEDED,
}
"""Every move there is; what is not here is refused."""

ACTIVE = frozenset({_S.RUNNING, _S.PAUSED, _S.ROLLING_BACK})
"""States in which the rules are applied."""


def next_state(state: RolloutState, trigger: Trigger) -> RolloutState | None:
    """Where a trigger leads; None where it is not allowed."""
    return TRANSITIONS.get((state, trigger))


def triggers_from(state: RolloutState) -> list[str]:
    """Which triggers a state knows, in words for a message."""
    return [trigger.value for found, trigger in TRANSITIONS if found is state] if state not in FINAL_ROLLOUT_STATES else []


def first_triggers(spec: RolloutSpec) -> list[Trigger]:
    """What happens to a new draft at once."""
    if spec.approval:
        return [Trigger.ASK_APPROVAL]
    return [Trigger.SUBMIT, Trigger.START] if spec.start else [Trigger.SUBMIT]
