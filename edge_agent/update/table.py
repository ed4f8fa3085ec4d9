"""The table of the update states: where each goes, how long it may last, and what is said where it lasted too long."""

from collections.abc import Mapping
from enum import Enum

from contract.pairs import SHADOW_PATIENCE
from contract.states import FailureReason, UpdateState
from edge_agent.update.records import Update


class Outcome(Enum):
    """The columns of the table: what can happen to an update in a state."""

    SUCCEEDED = "its work is done"
    WITHOUT_SHADOW = "its work is done, and the wish asks for no shadow"
    FAILED = "its work failed"
    LATE = "its deadline passed"
    SUPERSEDED = "another version is wished for"
    RESTARTED = "the agent started again in this state"
    RESTARTED_WAITING = "the agent started again while its work waited for leave"
    RETRIED = "interrupted, with attempts left"
    GIVEN_UP = "interrupted, without attempts left"


_S = UpdateState
_O = Outcome

TABLE: Mapping[UpdateState, Mapping[Outcome, UpdateState]] = {
    # Nothing that serves has changed yet: failing costs nothing, a restart takes up the work again.
    _S.QUEUED: {
        _O.SUCCEEDED: _S.PREFLIGHT, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED, _O.RESTARTED: _S.QUEUED,
    },
    _S.PREFLIGHT: {
        _O.SUCCEEDED: _S.DOWNLOADING, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED, _O.RESTARTED: _S.QUEUED,
    },
    _S.DOWNLOADING: {
        _O.SUCCEEDED: _S.VERIFYING, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED, _O.RESTARTED: _S.QUEUED,
    },
    _S.VERIFYING: {
        _O.SUCCEEDED: _S.STAGED, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED, _O.RESTARTED: _S.QUEUED,
    },
    _S.STAGED: {
        _O.SUCCEEDED: _S.SELF_TESTING, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED, _O.RESTARTED: _S.QUEUED,
    },
    # The candidate's code ran: whatever ended the agent here may do so again, so attempts are counted.
    _S.SELF_TESTING: {
        _O.SUCCEEDED: _S.SHADOWING, _O.WITHOUT_SHADOW: _S.ACTIVATING,
        _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED,
        _O.RETRIED: _S.QUEUED, _O.GIVEN_UP: _S.FAILED, _O.RESTARTED_WAITING: _S.QUEUED,
    },
    _S.SHADOWING: {
        _O.SUCCEEDED: _S.ACTIVATING, _O.FAILED: _S.FAILED, _O.LATE: _S.FAILED, _O.SUPERSEDED: _S.FAILED,
        _O.RETRIED: _S.QUEUED, _O.GIVEN_UP: _S.FAILED, _O.RESTARTED_WAITING: _S.QUEUED,
    },
    # What serves is changing or has changed: every way out but success leads back to the last known good.
    # (A swap is not torn in the middle: another wish waits until probation.)
    _S.ACTIVATING: {
        _O.SUCCEEDED: _S.PROBATION, _O.FAILED: _S.ROLLING_BACK, _O.LATE: _S.ROLLING_BACK, _O.RESTARTED: _S.ROLLING_BACK,
    },
    _S.PROBATION: {
        _O.SUCCEEDED: _S.COMMITTING, _O.FAILED: _S.ROLLING_BACK, _O.LATE: _S.ROLLING_BACK, _O.SUPERSEDED: _S.ROLLING_BACK,
        _O.RESTARTED: _S.ROLLING_BACK,
    },
    # The candidate has proven itself: committing is only repeated, never undone by a restart.
    _S.COMMITTING: {
        _O.SUCCEEDED: _S.DONE, _O.FAILED: _S.ROLLING_BACK, _O.LATE: _S.ROLLING_BACK, _O.RESTARTED: _S.COMMITTING,
    },
    # RETRIED and GIVEN_UP: the last known good serves again, and an interruption was the reason.
    _S.ROLLING_BACK: {
        _O.SUCCEEDED: _S.ROLLED_BACK, _O.FAILED: _S.ROLLED_BACK, _O.LATE: _S.ROLLED_BACK, _O.RESTARTED: _S.ROLLING_BACK,
        _O.RETRIED: _S.QUEUED, _O.GIVEN_UP: _S.FAILED,
    },
    # Final: only a new wish begins something.
    _S.DONE: {}, _S.FAILED: {}, _S.ROLLED_BACK: {},
}  # fmt: skip

LATE_REASON: Mapping[UpdateState, FailureReason] = {
    _S.QUEUED: FailureReason.INTERNAL,
    _S.PREFLIGHT: FailureReason.DOWNLOAD,
    _S.DOWNLOADING: FailureReason.DOWNLOAD,
    _S.VERIFYING: FailureReason.INTERNAL,
    _S.STAGED: FailureReason.INTERNAL,
    _S.SELF_TESTING: FailureReason.TIMED_OUT,
    _S.SHADOWING: FailureReason.INTERNAL,  # a candidate that hangs is noticed by the work itself
    _S.ACTIVATING: FailureReason.TIMED_OUT,
    _S.PROBATION: FailureReason.PROBATION_NO_INFERENCES,
    _S.COMMITTING: FailureReason.INTERNAL,
    _S.ROLLING_BACK: FailureReason.INTERNAL,
}

DEADLINE_S: Mapping[UpdateState, float] = {
    _S.QUEUED: 600.0,
    _S.PREFLIGHT: 6 * 3600.0,
    _S.DOWNLOADING: 24 * 3600.0,
    _S.VERIFYING: 3600.0,
    _S.STAGED: 600.0,
    _S.ACTIVATING: 120.0,
    _S.COMMITTING: 600.0,
    _S.ROLLING_BACK: 300.0,  # two starts of a worker that hangs, and some
}
"""How long a state may last; those of `self_testing`, `shadowing` and `probation` follow from the wish's policy."""

PROBATION_PATIENCE = 3.0
"""Probation without enough inferences ends at this many times its length."""
SHADOW_GRACE_S = 120.0
"""For the starts of the candidate's worker, beside the time in the shadow."""
VARIANTS_MAX = 16
"""The policy's time holds for one variant; they are tested one after the other."""
SELF_TEST_GRACE_S = 15.0


def deadline_s(update: Update) -> float:
    """How long the present state of an update may last."""
    policy = update.wish.policy
    if update.state is UpdateState.SELF_TESTING:
        return VARIANTS_MAX * policy.self_test_timeout_s + SELF_TEST_GRACE_S
    if update.state is UpdateState.SHADOWING:
        return SHADOW_PATIENCE * policy.shadow_s + SHADOW_GRACE_S
    if update.state is UpdateState.PROBATION:
        return PROBATION_PATIENCE * policy.probation_s
    return DEADLINE_S[update.state]
