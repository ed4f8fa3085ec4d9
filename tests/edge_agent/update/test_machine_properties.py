"""The invariants of the update rules, against a simulated device whose power may go at any moment."""

import sys

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contract.messages import UpdatePolicy
from contract.pairs import PairedResult
from contract.states import FINAL_UPDATE_STATES, VERSION_FAULTS, FailureReason, UpdateState
from edge_agent.update.events import (
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
    Succeeded,
    Waits,
    Wished,
    Work,
)
from edge_agent.update.machine import MAX_ATTEMPTS, advance, repaired, version_to_boot
from edge_agent.update.records import Installed, Quarantined, Update
from edge_agent.update.table import deadline_s
from tests.edge_agent.update.examples import running, wish

S = UpdateState
REASONS = sorted(set(FailureReason) - {FailureReason.INTERRUPTED, FailureReason.SUPERSEDED, FailureReason.QUARANTINED})
MAY_FOLLOW_EACH_OTHER = 13 * (MAX_ATTEMPTS + 1)


class SimulatedDevice(RuleBasedStateMachine):
    """Performs the actions on a disk of three variables; `cut` loses everything else."""

    @initialize(first=st.booleans())
    def begin(self, first: bool) -> None:
        self.slot = Slot() if first else running(1)
        self.verified = set() if first else {1}
        self.work: Update | None = None
        self.serving: Installed | None = self.slot.current
        self.journal: Update | None = self.slot.update
        self.pointers: dict[str, Installed | None] = {"current": self.slot.current, "good": self.slot.last_known_good}
        self.quarantine: dict[str, Quarantined] = {}
        self.revision = 10
        self.cut_after: int | None = None  # the power goes after so many actions of the next event

    # What can happen

    @rule(version=st.integers(1, 3), force=st.booleans(), application=st.sampled_from([0, 0, 1]), shadow_s=st.sampled_from([0.0, 60.0]))
    def wished(self, version: int, force: bool, application: int, shadow_s: float) -> None:
        self.revision += 1
        policy = UpdatePolicy(probation_s=5.0, shadow_s=shadow_s)
        self.apply(Wished(wish(version, self.revision, force=force, application=application, policy=policy)))

    @rule()
    def wished_again(self) -> None:
        if self.slot.update is not None:
            self.apply(Wished(self.slot.update.wish))

    @precondition(lambda self: self.work is not None)
    @rule()
    def succeeded(self) -> None:
        assert self.work is not None
        state, update = self.work.state, self.work
        if state is S.VERIFYING:
            self.verified.add(update.wish.model.version)
        if state is S.ACTIVATING:
            self.pointers["current"] = self.serving = update.candidate
        if state is S.COMMITTING:
            self.pointers["good"] = update.candidate
        if state is S.ROLLING_BACK:
            self.pointers["current"] = self.serving = self.slot.current
        self.work = None
        paired = PairedResult(pairs=self.revision) if state is S.SHADOWING else None
        self.apply(Succeeded(state, variant="onnx-float32" if state is S.SELF_TESTING else None, paired=paired))

    @precondition(lambda self: self.work is not None)
    @rule(steps=st.integers(2, 10))
    def went_on(self, steps: int) -> None:
        for _ in range(steps):
            if self.work is not None:
                self.succeeded()

    @precondition(lambda self: self.work is not None)
    @rule(reason=st.sampled_from(REASONS), swapped=st.booleans())
    def failed(self, reason: FailureReason, swapped: bool) -> None:
        assert self.work is not None
        update, self.work = self.work, None
        self.half_done(update, swapped)
        self.apply(Failed(update.state, reason, "as drawn"))

    @precondition(lambda self: self.work is not None)
    @rule(swapped=st.booleans())
    def late(self, swapped: bool) -> None:
        assert self.work is not None
        update, self.work = self.work, None
        self.half_done(update, swapped)
        self.apply(DeadlinePassed(update.state))

    def half_done(self, update: Update, swapped: bool) -> None:
        """Work that failed may have written its pointer all the same."""
        if swapped and update.state is S.ACTIVATING:
            self.pointers["current"] = self.serving = update.candidate
        if swapped and update.state is S.ROLLING_BACK:
            self.pointers["current"] = self.serving = self.slot.current

    @precondition(lambda self: self.work is not None)
    @rule(text=st.sampled_from(["", "waits to cool down"]))
    def waits(self, text: str) -> None:
        assert self.work is not None
        self.apply(Waits(self.work.state, text))

    @rule(done=st.integers(0, 4))
    def power_will_go(self, done: int) -> None:
        self.cut_after = done

    @rule(damaged=st.booleans(), pointer_lost=st.integers(0, 9))
    def cut(self, damaged: bool, pointer_lost: int = 9) -> None:
        """The power goes; all that is left is on the disk. The journal or a pointer may be damaged."""
        if pointer_lost == 0:
            self.pointers["good"] = None
        self.cut_after = None
        good = self.pointers["good"]
        slot = Slot(self.pointers["current"], good, self.journal, quarantine=dict(self.quarantine))
        if damaged:
            slot = msgspec.structs.replace(slot, update=None)
            self.journal = None
        self.work, self.slot = None, repaired(slot)
        self.serving = self.pointers["current"] = self.slot.current
        self.pointers["good"] = self.slot.last_known_good
        committed = self.journal is not None and self.journal.state is S.DONE
        assert self.slot.last_known_good == good or committed
        if good is not None and (slot.update is None or slot.update.state is not S.COMMITTING):
            assert self.serving == good
        self.apply(Restarted())

    def apply(self, event: Event) -> None:
        good_before = self.slot.last_known_good
        self.slot, actions = advance(self.slot, event)
        assert self.slot.last_known_good == good_before or (isinstance(event, Succeeded) and event.state is S.COMMITTING)
        for number, action in enumerate(actions):
            if self.cut_after is not None and number >= self.cut_after:
                self.cut(damaged=False)
                return
            self.perform(action)

    def perform(self, action: Action) -> None:
        if isinstance(action, Record):
            self.journal = action.update
        elif isinstance(action, Quarantine):
            assert action.entry.reason in VERSION_FAULTS
            good = self.slot.last_known_good
            proven = {good.model.digest, good.application.digest if good.application else ""} if good else set()
            assert action.digest not in proven, "what serves well is not to blame"
            self.quarantine[action.digest] = action.entry
        elif isinstance(action, Release):
            self.quarantine.pop(action.digest)
        elif isinstance(action, Cancel):
            self.work = None
        else:
            self.begin_work(action)

    def begin_work(self, action: Work) -> None:
        update = self.work = action.update
        assert update == self.journal, "the intent is in the journal before anything is done"
        assert update.state is not S.SHADOWING or update.wish.policy.shadow_s, "only where it was asked for"
        if update.state in {S.SHADOWING, S.ACTIVATING}:
            assert update.wish.model.version in self.verified
            entries = [self.quarantine[digest] for digest in update.wish.digests if digest in self.quarantine]
            assert all(update.wish.model.force and update.wish.revision > entry.revision for entry in entries)

    # What always holds

    @invariant()
    def pointers_name_verified_versions(self) -> None:
        for name in ("current", "good"):
            pointer = getattr(self, "pointers", {}).get(name)
            assert pointer is None or pointer.model.version in self.verified

    @invariant()
    def memory_and_disk_agree_on_the_quarantine(self) -> None:
        if hasattr(self, "slot"):
            assert set(self.slot.quarantine) == set(self.quarantine)

    @invariant()
    def a_device_with_a_good_version_always_serves_something(self) -> None:
        if getattr(self, "slot", None) and self.slot.last_known_good is not None:
            assert self.serving is not None

    @invariant()
    def an_update_under_way_has_work_and_a_deadline(self) -> None:
        update = self.slot.update if hasattr(self, "slot") else None
        if update is not None and not update.is_final:
            assert self.work is not None
            assert self.work.state is update.state
            assert deadline_s(update) > 0
        elif hasattr(self, "work"):
            assert self.work is None
            assert self.slot.next is None

    def teardown(self) -> None:
        """Whatever happened: from here the device comes to rest."""
        for _ in range(MAY_FOLLOW_EACH_OTHER):
            if getattr(self, "work", None) is None:
                break
            self.succeeded()
        if hasattr(self, "slot"):
            assert self.slot.update is None or self.slot.update.state in FINAL_UPDATE_STATES
            assert self.slot.last_known_good is None or self.slot.current == self.slot.last_known_good
            on_disk = Slot(self.pointers["current"], self.pointers["good"], self.journal)
            assert self.slot.last_known_good is None or version_to_boot(on_disk) == self.slot.current


TestSimulatedDevice = SimulatedDevice.TestCase
TestSimulatedDevice.settings = settings(
    max_examples=200 if sys.version_info >= (3, 11) else 60,  # as in the tests' profile
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
