"""The update state machine: a pure `advance(slot, event) -> (slot, actions)`.

Nothing here reads a clock, a file or a network; `edge_agent.slot_runner` performs the actions and
brings the events. The table says where each state goes; the functions below it only say which
column an event belongs to.
"""

import msgspec

from contract.pairs import describe_pairs
from contract.states import VERSION_FAULTS, FailureReason, UpdateState
from edge_agent.update.events import (
    FINDINGS,
    Action,
    Cancel,
    DeadlinePassed,
    Event,
    Failed,
    Quarantine,
    Record,
    Release,
    Restarted,
    Slot,
    Step,
    Succeeded,
    Waits,
    Wished,
    Work,
)
from edge_agent.update.records import Installed, Quarantined, Update, Wish
from edge_agent.update.table import LATE_REASON, TABLE, Outcome, deadline_s

MAX_ATTEMPTS = 3
"""An interrupted update is tried again at most twice for the same revision."""


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
        detail = f"it failed here at revision {entry.revision} ({entry.reason.value}: {entry.detail}); `--force` tries it again"
        failed = Update(UpdateState.FAILED, wish, reason=FailureReason.QUARANTINED, detail=detail)
        return msgspec.structs.replace(slot, update=failed), (Record(failed, previous),)
    queued = Update(UpdateState.QUEUED, wish)
    return msgspec.structs.replace(slot, update=queued), (Record(queued, previous), Work(queued))


def _stands_above(last: Update, wish: Wish) -> bool:
    """Whether a bundle was installed after the fleet had made this wish: only a newer one replaces it."""
    brought = last.state is UpdateState.DONE and last.wish.is_from_bundle
    return brought and not wish.package and wish.revision < last.wish.revision


def _succeeded(slot: Slot, update: Update, event: Succeeded) -> Step:
    found = {name: getattr(event, name) for name in FINDINGS if getattr(event, name) is not None}
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
