"""An update in the words of others: what the fleet is told of it, and what stands in the log."""

import msgspec

from contract.messages import UpdateEvent, UpdateReport
from contract.states import UpdateState
from edge_agent.update.records import Update


def report_of(update: Update) -> UpdateReport:
    """An update as the fleet hears it."""
    model = update.wish.model
    return UpdateReport(
        state=update.state,
        target=model.ref,
        revision=update.wish.revision,
        attempt=update.attempt,
        rollout=model.rollout,
        arm=model.arm,
        reason=update.reason,
        detail=(update.waits_for or update.detail)[:1000],
        paired=update.paired,
    )


def event_of(slot: str, update: Update, previous: UpdateState | None) -> UpdateEvent:
    """A step of an update as the fleet hears it; paired results with the step out of the shadow alone."""
    left_shadow = previous is UpdateState.SHADOWING and update.state is not previous
    report = msgspec.structs.replace(report_of(update), paired=update.paired if left_shadow else None)
    return UpdateEvent(slot=slot, previous=previous, **msgspec.structs.asdict(report))


def describe(update: Update, previous: UpdateState | None) -> str:
    """A step of an update as one line for the log."""
    model = update.wish.model
    step = f"{previous.value} → {update.state.value}" if previous and previous is not update.state else update.state.value
    said = update.waits_for or update.detail
    why = f" ({update.reason.value}: {update.detail})" if update.reason else f" ({said})" if said else ""
    return f"{model.model} {model.version} at revision {update.wish.revision}: {step}{why}"
