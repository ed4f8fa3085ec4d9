"""What the update rules take in and give out: a slot, the events that happen to it, the actions that follow; plain values only."""

from typing import NamedTuple

import msgspec

from contract.messages import MeasuredVariant
from contract.pairs import PairedResult
from contract.states import FailureReason, UpdateState
from edge_agent.update.records import Baseline, Installed, Quarantined, Update, Wish


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
FINDINGS = ("variant", "measured", "baseline", "paired")
"""What of a success goes into the update."""


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
