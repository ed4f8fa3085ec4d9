"""The update state machine: one visible table and a pure `advance(slot, event) -> (slot, actions)`.

Nothing here reads a clock, a file or a network; `edge_agent.slot_runner` performs the actions and
brings the events. The table says where each state goes; the functions below it only say which
column an event belongs to.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from contract.messages import MeasuredVariant
from contract.pairs import SHADOW_PATIENCE, PairedResult, describe_pairs
from contract.states import VERSION_FAULTS, FailureReason, UpdateState
from edge_agent.update.records import Baseline, Installed, Quarantined, Update, Wish

MAX_ATTEMPTS = 3
"""An interrupted update is tried again at most twice for the same revision."""


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


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that decides: what is installed, the update (under way or the last one), and what waits."""

    current: Installed | None = None
    last_known_good: Installed | None = None
    update: Update | None = None
    next: Wish | None = None
    quarantine: dict[str, Quarantined] = {}


class Wished(NamedTuple):
    """A wish came (perhaps the same one again)."""

    wish: Wish


class Succeeded(NamedTuple):
    """The work of `state` is done; what it found goes into the update."""

    state: UpdateState
    variant: str | None = None
    measured: tuple[MeasuredVariant, ...] | None = None
    baseline: Baseline | None = None
    paired: PairedResult | None = None
    detail: str = ""


class Failed(NamedTuple):
    """The work of `state` failed; what it had found out before goes into the update."""

    state: UpdateState
    reason: FailureReason
    detail: str
    paired: PairedResult | None = None


class DeadlinePassed(NamedTuple):
    """The work of `state` took longer than `deadline_s` allows."""

    state: UpdateState


class Restarted(NamedTuple):
    """The agent started and read its journal; the slot is one that `repaired` returned."""


class Waits(NamedTuple):
    """The work of `state` waits for leave to go on; `text` says for what, "" that it goes on."""

    state: UpdateState
    text: str


Event = Wished | Waits | Succeeded | Failed | DeadlinePassed | Restarted
_FINDINGS = ("variant", "measured", "baseline", "paired")


class Record(NamedTuple):
    """Write the update into the journal, then report it; `previous` is the state it came from."""

    update: Update
    previous: UpdateState | None


class Quarantine(NamedTuple):
    """Never activate this digest again."""

    digest: str
    entry: Quarantined


class Release(NamedTuple):
    """The digest proved itself after all (it was forced)."""

    digest: str


class Cancel(NamedTuple):
    """Stop the work that is under way; its result will be ignored."""


class Work(NamedTuple):
    """Do the work of this update's state and bring its result as an event."""

    update: Update


Action = Record | Quarantine | Release | Cancel | Work
Step = tuple[Slot, tuple[Action, ...]]


def advance(slot: Slot, event: Event) -> Step:
    """What a slot becomes by an event, and what must be done, in this order.

    Late results (of another state than the present one) change nothing.
    """
    if isinstance(event, Wished):
        return _wished(slot, event.wish)
    if isinstance(event, Restarted):
        return _restarted(slot)
    update = slot.update
    if update is None or update.is_final:
        return slot, ()
    return _finished(slot, update, event) if event.state is update.state else (slot, ())


def _finished(slot: Slot, update: Update, event: Waits | Succeeded | Failed | DeadlinePassed) -> Step:
    if isinstance(event, Waits):
        return _waits(slot, update, event.text)
    if isinstance(event, Succeeded):
        return _succeeded(slot, update, event)
    if isinstance(event, Failed):
        found = msgspec.structs.replace(update, paired=event.paired or update.paired)
        return _move(slot, found, Outcome.FAILED, event.reason, event.detail)
    return _move(slot, update, Outcome.LATE, LATE_REASON[update.state], f"{update.state.value} took longer than {deadline_s(update):g} s")


def _waits(slot: Slot, update: Update, text: str) -> Step:
    if text == update.waits_for:
        return slot, ()
    waiting = msgspec.structs.replace(update, waits_for=text)
    return msgspec.structs.replace(slot, update=waiting), (Record(waiting, update.state),)


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


def version_to_boot(slot: Slot) -> Installed | None:
    """What must serve at once when the agent starts, before anything else is decided.

    It is the last known good version, whatever the pointer `current` says: only a version that was
    being committed has proven itself as well. Where there is none and no update is under way,
    `current` is all that is left, unless it is what failed.
    """
    update = slot.update
    if update is None:
        quarantined = slot.current is not None and slot.current.model.digest in slot.quarantine
        return slot.last_known_good or (None if quarantined else slot.current)
    if update.state is UpdateState.COMMITTING or _was_committed(slot):
        return slot.current or slot.last_known_good
    unproven = not update.is_final or update.candidate == slot.current
    return slot.last_known_good or (None if unproven else slot.current)


def repaired(slot: Slot) -> Slot:
    """A slot as it was read from the disk, with pointers that can be trusted.

    A lost pointer `last_known_good` is restored where the journal says that `current` was committed.
    """
    current = version_to_boot(slot)
    return msgspec.structs.replace(slot, current=current, last_known_good=current if _was_committed(slot) else slot.last_known_good)


def _was_committed(slot: Slot) -> bool:
    """Whether the journal says that `current` has proven itself, whatever the other pointer says."""
    return slot.update is not None and slot.update.state is UpdateState.DONE and slot.update.candidate == slot.current


def refusal(slot: Slot, wish: Wish) -> Quarantined | None:
    """The quarantine that forbids a wish; None where it is allowed (or forced by a newer revision)."""
    for digest in wish.digests:
        entry = slot.quarantine.get(digest)
        if entry is not None and not (wish.model.force and wish.revision > entry.revision):
            return entry
    return None


def _wished(slot: Slot, wish: Wish) -> Step:
    update = slot.update
    if update is None or update.is_final:
        return _begin(slot, wish)
    newest = slot.next or update.wish
    if wish.revision < newest.revision or wish == newest:
        return slot, ()
    return _consider(msgspec.structs.replace(slot, next=wish), update)


def _consider(slot: Slot, update: Update) -> Step:
    """Let the update under way take over the wish that waits, give way to it, or let it wait."""
    wish = slot.next
    if wish is None or update.state is UpdateState.ROLLING_BACK:
        return slot, ()
    if wish.wants_the_same_as(update.wish):
        changed = msgspec.structs.replace(update, wish=wish)
        return msgspec.structs.replace(slot, update=changed, next=None), (Record(changed, update.state),)
    if Outcome.SUPERSEDED not in TABLE[update.state]:
        return slot, ()
    what = f"revision {wish.revision} wants {wish.model.model} {wish.model.version}"
    slot, actions = _move(slot, update, Outcome.SUPERSEDED, FailureReason.SUPERSEDED, what)
    return slot, (Cancel(), *actions)


def _begin(slot: Slot, wish: Wish) -> Step:
    last = slot.update
    lost = last is not None and last.state is UpdateState.DONE and not wish.is_met_by(slot.current)
    asked_again = wish.is_from_bundle  # somebody brought it once more
    if last is not None and last.wish.revision == wish.revision and last.wish.wants_the_same_as(wish) and not lost and not asked_again:
        return slot, ()
    if last is not None and _stands_above(last, wish):
        return slot, ()
    previous = last.state if last else None
    if slot.current is not None and wish.is_met_by(slot.current) and slot.current == slot.last_known_good:
        done = Update(UpdateState.DONE, wish, variant=slot.current.variant, detail="it is installed already")
        return msgspec.structs.replace(slot, update=done), (Record(done, previous),)
    entry = refusal(slot, wish)
    if entry is not None:
        detail = f"it failed here at revision {entry.revision} ({entry.reason.value}: {entry.detail}); force it with a newer revision"
        failed = Update(UpdateState.FAILED, wish, reason=FailureReason.QUARANTINED, detail=detail)
        return msgspec.structs.replace(slot, update=failed), (Record(failed, previous),)
    queued = Update(UpdateState.QUEUED, wish)
    return msgspec.structs.replace(slot, update=queued), (Record(queued, previous), Work(queued))


def _stands_above(last: Update, wish: Wish) -> bool:
    """Whether a bundle was installed after the fleet had made this wish: only a newer one replaces it."""
    brought = last.state is UpdateState.DONE and last.wish.is_from_bundle
    return brought and not wish.package and wish.revision < last.wish.revision


def _succeeded(slot: Slot, update: Update, event: Succeeded) -> Step:
    found = {name: getattr(event, name) for name in _FINDINGS if getattr(event, name) is not None}
    update = msgspec.structs.replace(update, **found)
    if update.state is UpdateState.ROLLING_BACK and update.reason is FailureReason.INTERRUPTED:
        return _move(slot, update, _retry_or_give_up(update), update.reason, update.detail)
    if update.state is UpdateState.ROLLING_BACK:
        return _move(slot, update, Outcome.SUCCEEDED, update.reason, update.detail)
    outcome = _success(update)
    runs_candidate = TABLE[update.state][outcome] in {UpdateState.SHADOWING, UpdateState.ACTIVATING}
    if runs_candidate and (entry := refusal(slot, update.wish)) is not None:
        return _move(slot, update, Outcome.FAILED, FailureReason.QUARANTINED, entry.detail)
    return _move(slot, update, outcome, None, describe_pairs(update.paired) if update.paired is not None else event.detail)


def _success(update: Update) -> Outcome:
    without_shadow = update.state is UpdateState.SELF_TESTING and not update.wish.policy.shadow_s
    return Outcome.WITHOUT_SHADOW if without_shadow else Outcome.SUCCEEDED


def next_is_activation(update: Update) -> bool:
    """Whether what serves changes as soon as the work of the present state is done."""
    return TABLE[update.state][_success(update)] is UpdateState.ACTIVATING


def _restarted(slot: Slot) -> Step:
    update = slot.update
    if update is None or update.is_final:
        return _restarted_at_rest(slot)
    state = update.state
    if update.waits_for and Outcome.RESTARTED_WAITING in TABLE[state]:  # the candidate's code was not running any more
        return _move(slot, update, Outcome.RESTARTED_WAITING, None, f"taken up again after the agent was ended, waiting in {state.value}")
    if Outcome.RESTARTED not in TABLE[state]:
        return _move(slot, update, _retry_or_give_up(update), FailureReason.INTERRUPTED, f"the agent was ended in {state.value}")
    if state is TABLE[state][Outcome.RESTARTED] or state in {UpdateState.COMMITTING, UpdateState.ROLLING_BACK}:
        actions = _quarantine_of(slot, update)
        return _quarantined(slot, actions), (*actions, Work(update))
    if TABLE[state][Outcome.RESTARTED] is UpdateState.ROLLING_BACK:
        return _move(slot, update, Outcome.RESTARTED, FailureReason.INTERRUPTED, f"the agent was ended in {state.value}")
    return _move(slot, update, Outcome.RESTARTED, None, f"taken up again after the agent was ended in {state.value}")


def _restarted_at_rest(slot: Slot) -> Step:
    """What the end of the update says of the quarantine may not have reached its file."""
    if slot.update is None:
        return slot, ()
    actions = (*_quarantine_of(slot, slot.update), *_release_of(slot, slot.update))
    return _quarantined(slot, actions), actions


def _retry_or_give_up(update: Update) -> Outcome:
    return Outcome.RETRIED if update.attempt < MAX_ATTEMPTS else Outcome.GIVEN_UP


def _move(slot: Slot, update: Update, outcome: Outcome, reason: FailureReason | None, detail: str) -> Step:
    """Follow the table, then whatever follows at once from the new state."""
    state = TABLE[update.state][outcome]
    attempt = update.attempt + (outcome is Outcome.RETRIED)
    if update.state is UpdateState.ROLLING_BACK and outcome in {Outcome.FAILED, Outcome.LATE}:
        reason, detail = update.reason, f"{update.detail}; going back failed too: {detail}"
    paired = None if outcome is Outcome.RETRIED else update.paired
    moved = msgspec.structs.replace(update, state=state, attempt=attempt, paired=paired, reason=reason, detail=detail, waits_for="")
    slot = _installed_by(msgspec.structs.replace(slot, update=moved), update.state, moved)
    actions: tuple[Action, ...] = (Record(moved, update.state), *_quarantine_of(slot, moved), *_release_of(slot, moved))
    slot = _quarantined(slot, actions)
    if moved.is_final:
        return _follow_up(slot, actions)
    slot, more = _consider(slot, moved)
    if slot.update is not moved and slot.update is not None and slot.update.state is not moved.state:
        return slot, (*actions, *more)
    return slot, (*actions, *more, Work(slot.update or moved))


def _follow_up(slot: Slot, actions: tuple[Action, ...]) -> Step:
    """An update ended: begin with the wish that waits, if any."""
    if slot.next is None:
        return slot, actions
    slot, more = _begin(msgspec.structs.replace(slot, next=None), slot.next)
    return slot, (*actions, *more)


def _installed_by(slot: Slot, left: UpdateState, moved: Update) -> Slot:
    """Which version the pointers name after leaving a state."""
    if left is UpdateState.ACTIVATING and moved.state is UpdateState.PROBATION:
        return msgspec.structs.replace(slot, current=moved.candidate)
    if left is UpdateState.COMMITTING and moved.state is UpdateState.DONE:
        return msgspec.structs.replace(slot, current=moved.candidate, last_known_good=moved.candidate)
    if moved.state is UpdateState.ROLLING_BACK:
        before = slot.current if left is UpdateState.ACTIVATING else None  # it served until now
        return msgspec.structs.replace(slot, current=slot.last_known_good or before)
    return slot


def _quarantine_of(slot: Slot, update: Update) -> tuple[Action, ...]:
    bad = update.state in {UpdateState.FAILED, UpdateState.ROLLING_BACK, UpdateState.ROLLED_BACK}
    if not bad or update.reason is None or update.reason not in VERSION_FAULTS:
        return ()
    digest = _at_fault(slot.last_known_good, update.wish)
    return (Quarantine(digest, Quarantined(update.wish.revision, update.reason, update.detail)),) if digest else ()


def _at_fault(proven: Installed | None, wish: Wish) -> str:
    """The digest to blame: what is new in the wish, the model before the application; what serves well never is."""
    if proven is None or proven.model != wish.model.ref:
        return wish.model.manifest.sha256
    if wish.application is not None and proven.application != wish.application_ref:
        return wish.application.document.sha256
    return ""


def _release_of(slot: Slot, update: Update) -> tuple[Action, ...]:
    """A forced version that proved itself is no longer quarantined."""
    if update.state is not UpdateState.DONE:
        return ()
    return tuple(Release(digest) for digest in update.wish.digests if digest in slot.quarantine)


def _quarantined(slot: Slot, actions: tuple[Action, ...]) -> Slot:
    """The slot with the quarantine as the actions make it."""
    added = {action.digest: action.entry for action in actions if isinstance(action, Quarantine)}
    released = {action.digest for action in actions if isinstance(action, Release)}
    quarantine = {digest: entry for digest, entry in {**slot.quarantine, **added}.items() if digest not in released}
    return msgspec.structs.replace(slot, quarantine=quarantine)
