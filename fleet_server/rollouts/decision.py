"""What happens next to a rollout, decided from its facts alone: the same facts give the same decision, so it can be replayed."""

import math
from typing import NamedTuple

from contract.rest import GateView, Verdict
from contract.states import GateVerdict, RolloutState
from fleet_server.rollouts.comparison import compare_arms
from fleet_server.rollouts.facts import CONTROL, TREATMENT, DeviceFacts, RolloutFacts
from fleet_server.rollouts.gates import LATENCY_MIN_INFERENCES, evaluate_gates
from fleet_server.rollouts.lifecycle import Trigger
from fleet_server.words import part_of

EXPOSE_AT_ONCE = 500
"""Wishes signed in one transaction."""


class Decision(NamedTuple):
    """One step: devices to ask or to call back, the next phase, or a trigger of the lifecycle; none of them means wait."""

    gates: tuple[GateView, ...]
    verdict: Verdict | None
    expose: tuple[str, ...] = ()
    call_back: tuple[str, ...] = ()
    next_phase: int | None = None
    trigger: Trigger | None = None
    reason: str = ""

    @property
    def acts(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.expose or self.call_back or self.trigger or self.next_phase is not None)


def decide(facts: RolloutFacts) -> Decision:
    """The next step of a rollout that is running, paused or rolling back."""
    gates = evaluate_gates(facts)
    decision = Decision(gates, judge_arms(facts))
    if facts.state is RolloutState.ROLLING_BACK:
        return _roll_back(facts, decision)
    failed = next((gate for gate in gates if gate.verdict is GateVerdict.FAIL), None)
    if failed is not None:
        return _stop(facts, decision, failed)
    return _advance(facts, decision) if facts.state is RolloutState.RUNNING else decision


def judge_arms(facts: RolloutFacts) -> Verdict | None:
    """The comparison of the arms; None without a control arm, or before anything was measured."""
    means = {arm: _means(facts.exposed(arm)) for arm in (CONTROL, TREATMENT)}
    if not facts.has_control or not any(means.values()):
        return None
    margin = facts.spec.gates.latency_factor - 1
    return compare_arms(means[CONTROL], means[TREATMENT], planned=max(60, len(facts.devices)), margin=margin)


def _means(devices: list[DeviceFacts]) -> list[float]:
    return [d.latency_mean_ms for d in devices if d.latency_mean_ms is not None and d.inferences >= LATENCY_MIN_INFERENCES]


def _stop(facts: RolloutFacts, decision: Decision, gate: GateView) -> Decision:
    reason = f"gate {gate.gate}: {gate.reason}"
    if facts.spec.on_failure == "rollback":
        return decision._replace(trigger=Trigger.GATE_FAILED, reason=reason)
    if facts.state is RolloutState.RUNNING:
        return decision._replace(trigger=Trigger.GATE_FAILED_PAUSE, reason=reason)
    return decision


def _advance(facts: RolloutFacts, decision: Decision) -> Decision:
    due = _due(facts)
    if due or any(not device.exposed for device in _members(facts)):
        return decision._replace(expose=due)
    if any(not device.settled and not device.unreachable(facts.now) for device in facts.exposed()):
        return decision
    if facts.now < phase_end(facts):
        return decision
    waiting = [gate for gate in decision.gates if gate.verdict is GateVerdict.WAIT]
    if waiting:
        return _wait_or_give_up(facts, decision, waiting[0])
    if facts.phase + 1 < len(facts.spec.phases):
        return decision._replace(next_phase=facts.phase + 1, reason=f"phase {facts.phase + 1} passed all gates")
    return decision._replace(trigger=Trigger.ALL_PASSED, reason=_summary(facts))


def _members(facts: RolloutFacts) -> list[DeviceFacts]:
    return [device for device in facts.devices if device.phase == facts.phase]


def _due(facts: RolloutFacts) -> tuple[str, ...]:
    waiting = [device for device in _members(facts) if not device.exposed]
    stagger = facts.spec.stagger_s
    if not stagger or not waiting:
        return tuple(device.device for device in waiting[:EXPOSE_AT_ONCE])
    last = max((device.exposed_at for device in _members(facts) if device.exposed_at is not None), default=-math.inf)
    return (waiting[0].device,) if facts.now >= last + stagger else ()


def phase_end(facts: RolloutFacts) -> float:
    """The moment until which the present phase bakes at least."""
    started_at = facts.now if facts.phase_started_at is None else facts.phase_started_at
    return started_at + facts.spec.phases[facts.phase].duration_s


def _wait_or_give_up(facts: RolloutFacts, decision: Decision, gate: GateView) -> Decision:
    if facts.now < phase_end(facts) + facts.spec.device_deadline_s:
        return decision
    return decision._replace(trigger=Trigger.UNDECIDED, reason=f"gate {gate.gate} found no verdict in time: {gate.reason}")


def _summary(facts: RolloutFacts) -> str:
    done = [device for device in facts.exposed() if device.settled and not device.failed]
    failed = [device.device for device in facts.exposed() if device.settled and device.failed]
    lost = [device.device for device in facts.exposed() if device.unreachable(facts.now)]
    text = f"{part_of(len(done), len(facts.exposed()), 'device')} done"
    text += f"; {len(failed)} failed: {_names(failed)}" if failed else ""
    return text + (f"; {len(lost)} unreachable: {_names(lost)}" if lost else "")


def _names(devices: list[str]) -> str:
    return ", ".join(devices[:10]) + (f" and {len(devices) - 10} more" if len(devices) > 10 else "")  # noqa: PLR2004


def _roll_back(facts: RolloutFacts, decision: Decision) -> Decision:
    waiting = [device.device for device in facts.exposed() if not device.called_back]
    if waiting:
        return decision._replace(call_back=tuple(waiting[:EXPOSE_AT_ONCE]))
    missing = [device.device for device in facts.exposed() if not device.back]
    started_at = facts.now if facts.rollback_started_at is None else facts.rollback_started_at
    if missing and facts.now < started_at + facts.spec.device_deadline_s:
        return decision
    text = f"{part_of(len(facts.exposed()) - len(missing), len(facts.exposed()), 'device')} back"
    return decision._replace(trigger=Trigger.ALL_BACK, reason=text + (f"; not heard of: {_names(missing)}" if missing else ""))
