"""A fleet in memory: how each device ends is decided beforehand, the rules alone move the rollout."""

import msgspec

from contract.rest import GateSpec, PhaseSpec, RolloutSpec
from contract.states import RolloutState, UpdateState
from fleet_server.rollouts.cohort import Weights, plan_cohort
from fleet_server.rollouts.decision import decide
from fleet_server.rollouts.facts import DeviceFacts, RolloutFacts
from fleet_server.rollouts.lifecycle import Trigger, next_state


def make_spec(**changes):
    return RolloutSpec(**{"name": "test", "model": "digits", "version": 2, "device_deadline_s": 100.0, **changes})


def make_facts(devices, *, spec=None, state=RolloutState.RUNNING, phase=0, now=0.0, started_at=0.0):
    return RolloutFacts(1, spec or make_spec(), state, phase, now, tuple(devices), phase_started_at=started_at)


def device(name="d", *, arm="treatment", phase=0, **changes):
    return DeviceFacts(name, arm, phase, **{"exposed_at": 0.0, "deadline_at": 100.0, **changes})


def done(name="d", **changes):
    return device(name, **{"started": True, "settled": True, "state": UpdateState.DONE, **changes})


def broken(name="d", **changes):
    return done(name, **{"failed": True, "version_fault": True, "state": UpdateState.FAILED, **changes})


class MemoryFleet:
    """Plays a rollout: each tick settles the devices that are due, then the rules decide until they wait."""

    def __init__(self, size, spec, ends, *, salt="salt", settle_s=1.0):
        weights = Weights(spec.control_weight if spec.control_version else 0, spec.treatment_weight)
        places = plan_cohort({f"d-{i}": "pi" for i in range(size)}, salt, spec.phases, weights)
        devices = tuple(DeviceFacts(place.device, place.arm, place.phase) for place in places)
        self.facts = RolloutFacts(1, spec, RolloutState.RUNNING, 0, 0.0, devices, phase_started_at=0.0)
        self.ends = ends
        self.settle_s = settle_s
        self.history = []

    def play(self, seconds, step=1.0):
        for _ in range(int(seconds / step)):
            self._decide()
            self.facts = msgspec.structs.replace(self.facts, now=self.facts.now + step)
            self._settle()
        return self.facts.state

    @property
    def exposed(self):
        return [found for found in self.facts.devices if found.exposed]

    def _settle(self):
        self._change(
            lambda found: found.exposed and not found.settled and self.facts.now >= found.exposed_at + self.settle_s,
            lambda found: self.ends(found) or {},
        )
        self._change(lambda found: found.called_back and not found.back, lambda _found: {"back": True})

    def _decide(self):
        while self.facts.state in {RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.ROLLING_BACK}:
            decision = decide(self.facts)
            if not decision.acts:
                return
            self._apply(decision)
            self.history.append(decision)

    def _apply(self, decision):
        now = self.facts.now
        asked = {"exposed_at": now, "deadline_at": now + self.facts.spec.device_deadline_s, "started": True}
        self._change(lambda found: found.device in decision.expose, lambda _found: asked)
        self._change(lambda found: found.device in decision.call_back, lambda _found: {"called_back": True})
        if decision.next_phase is not None:
            self.facts = msgspec.structs.replace(self.facts, phase=decision.next_phase, phase_started_at=now)
        if decision.trigger is not None:
            self._move(decision.trigger)

    def _move(self, trigger):
        state = next_state(self.facts.state, trigger)
        assert state is not None, (self.facts.state, trigger)
        started = self.facts.now if trigger is Trigger.GATE_FAILED else None
        self.facts = msgspec.structs.replace(self.facts, state=state, rollback_started_at=started)

    def _change(self, which, how):
        devices = tuple(msgspec.structs.replace(found, **how(found)) if which(found) else found for found in self.facts.devices)
        self.facts = msgspec.structs.replace(self.facts, devices=devices)


GOOD = {"settled": True, "state": UpdateState.DONE}
BROKEN = {"settled": True, "failed": True, "version_fault": True, "state": UpdateState.FAILED}
__all__ = ["BROKEN", "GOOD", "GateSpec", "MemoryFleet", "PhaseSpec", "broken", "device", "done", "make_facts", "make_spec"]
