"""The gates of a rollout: each says pass, wait or fail, with the reason in words; a gate that can not measure never passes as if it had."""

import math
import statistics
from collections.abc import Callable, Sequence

from contract.rest import GateSpec, GateView
from contract.states import GateVerdict
from fleet_server.rollouts.facts import CONTROL, TREATMENT, DeviceFacts, RolloutFacts
from fleet_server.rollouts.failure_evidence import failures_to_stop, log_e_value, log_ratio_evidence
from fleet_server.words import counted

LATENCY_MIN_INFERENCES = 20  # of one device, before its 95th percentile counts
ERROR_MIN_INFERENCES = 50  # of an arm
RATIO_LIMIT = 1000.0  # e-value at which the reporting ratio counts as mismatched
PASS, WAIT, FAIL = GateVerdict.PASS, GateVerdict.WAIT, GateVerdict.FAIL


def evaluate_gates(facts: RolloutFacts) -> tuple[GateView, ...]:
    """All gates, in the order of the table."""
    return tuple(gate(facts) for gate in GATES)


def install_failures(facts: RolloutFacts) -> GateView:
    """Too many devices of the treatment failed because of the version.

    Failures are quicker than successes (a probation takes its time), so devices that have begun and
    not settled count as successes for now: else the first failures of a healthy rollout would look
    like all there is.
    """
    limits = facts.spec.gates
    begun = [device for device in facts.exposed(TREATMENT) if device.settled or device.started]
    failed = sum(device.version_fault for device in begun)
    evidence = math.exp(min(log_e_value(failed, len(begun), limits.tolerated_failure_share), 700.0))
    limit = 1 / limits.alpha
    reason = f"{failed} of {counted(len(begun), 'device')} that began failed because of the version"
    reason += f"; evidence {evidence:.3g}, it fails at {limit:.3g}"
    if evidence >= limit:
        return GateView(
            "install_failures", FAIL, f"{reason}: more than the tolerated {limits.tolerated_failure_share:.1%} fail", evidence, limit
        )
    return GateView("install_failures", PASS, reason + _why_not_yet(failed, len(begun), limits), evidence, limit)


def _why_not_yet(failed: int, begun: int, limits: GateSpec) -> str:
    """Why failures do not stop the rollout yet, and how many would."""
    devices = next((n for n in range(max(begun, 1), begun + 100) if _would_stop(n, limits)), None)
    stop = failures_to_stop(devices, limits.tolerated_failure_share, limits.alpha) if devices is not None else None
    enough = f"; {stop} of {devices} would be" if stop else ""
    if not failed:
        return enough + " enough" if enough else ""
    share = f"more than the tolerated {limits.tolerated_failure_share:.1%} of devices fail"
    return f": not yet evidence that {share}, since so few may fail by chance{enough}"


def _would_stop(devices: int, limits: GateSpec) -> bool:
    """Whether the failure of all of so many devices is enough evidence."""
    return log_e_value(devices, devices, limits.tolerated_failure_share) >= -math.log(limits.alpha)


def max_failures(facts: RolloutFacts) -> GateView:
    """A fixed number of failed devices, whatever the statistics say."""
    limit = facts.spec.gates.max_failures
    failed = sum(device.failed for device in facts.exposed())
    if not limit:
        return GateView("max_failures", PASS, f"off; {counted(failed, 'device')} failed", float(failed))
    verdict = FAIL if failed >= limit else PASS
    return GateView("max_failures", verdict, f"{counted(failed, 'device')} failed, it fails at {limit}", float(failed), float(limit))


def phase_success(facts: RolloutFacts) -> GateView:
    """A phase in which every settled device failed is no success, however few they are.

    Nor is silence: a version that takes devices off the air would never be reported as failed. So
    where more devices fell silent than are done, the gate waits (and in the end pauses the rollout).
    """
    if not any(device.phase == facts.phase for device in facts.devices):
        return GateView("phase_success", PASS, f"no device joins in phase {facts.phase + 1}")
    members = [device for device in facts.exposed() if device.phase == facts.phase]
    settled = [device for device in members if device.settled]
    failed = sum(device.failed for device in settled)
    under_way = sum(not device.settled and not device.unreachable(facts.now) for device in members)
    reason, silent = _phase_in_words(facts, members)
    share = (len(settled) - failed) / len(settled) if settled else None
    if under_way and failed == len(settled):
        return GateView("phase_success", WAIT, reason, share)
    if settled and failed == len(settled):
        return GateView("phase_success", FAIL, f"{reason}: every device that settled failed", share)
    return GateView("phase_success", WAIT if silent else PASS, reason, share)


def _phase_in_words(facts: RolloutFacts, members: Sequence[DeviceFacts]) -> tuple[str, bool]:
    """What happened in a phase, and whether silence outweighs success among all devices asked so far."""
    done = sum(device.settled and not device.failed for device in members)
    failed = sum(device.settled and device.failed for device in members)
    lost = sum(device.unreachable(facts.now) for device in members)
    reason = f"{done} of {counted(len(members), 'device')} of phase {facts.phase + 1} done, {failed} failed"
    reason += f", {lost} unreachable" if lost else ""
    under_way = len(members) - done - failed - lost
    reason += f", {under_way} under way" if under_way else ""
    all_done = sum(device.settled and not device.failed for device in facts.exposed())
    all_lost = sum(device.unreachable(facts.now) for device in facts.exposed())
    silent = all_lost > all_done or not (all_done or all_lost or failed)
    return f"{reason}; of all that were asked {all_lost} are silent, {all_done} done" if silent and all_lost else reason, silent


def minimum_inferences(facts: RolloutFacts) -> GateView:
    """Each arm has made enough inferences to be looked at."""
    limit = facts.spec.gates.minimum_inferences
    arms = [CONTROL, TREATMENT] if facts.has_control else [TREATMENT]
    counts = {arm: sum(device.inferences for device in facts.exposed(arm)) for arm in arms if facts.exposed(arm)}
    fewest = min(counts.values(), default=0)
    shown = ", ".join(f"{arm} {count}" for arm, count in counts.items()) or "no device yet"
    verdict = PASS if fewest >= limit else WAIT
    return GateView("minimum_inferences", verdict, f"inferences: {shown}; needed per arm: {limit}", float(fewest), float(limit))


def latency(facts: RolloutFacts) -> GateView:
    """The median device's 95th percentile, treatment against control."""
    limit = facts.spec.gates.latency_factor
    if not facts.has_control:
        return GateView("latency", PASS, "no control arm; each device's probation compares with its version before", None, limit)
    missing = [arm for arm in (CONTROL, TREATMENT) if not facts.exposed(arm)]
    if missing:
        return GateView("latency", PASS, f"nothing to compare yet: no device of the {missing[0]} was asked so far", None, limit)
    medians = {}
    for arm in (CONTROL, TREATMENT):
        values = _latencies(facts.exposed(arm))
        if not values:
            return GateView("latency", WAIT, f"no device of the {arm} has {LATENCY_MIN_INFERENCES} inferences yet", None, limit)
        medians[arm] = statistics.median(values)
    ratio = medians[TREATMENT] / medians[CONTROL] if medians[CONTROL] > 0 else math.inf
    floor_ms = facts.spec.gates.latency_floor_ms
    reason = (
        f"95th percentile {medians[TREATMENT]:.3g} ms against {medians[CONTROL]:.3g} ms: factor {ratio:.3g}, "
        f"it fails above {limit:.3g} and {floor_ms:g} ms"
    )
    return GateView("latency", FAIL if ratio > limit and medians[TREATMENT] > floor_ms else PASS, reason, ratio, limit)


def _latencies(devices: Sequence[DeviceFacts]) -> list[float]:
    return [d.latency_p95_ms for d in devices if d.latency_p95_ms is not None and d.inferences >= LATENCY_MIN_INFERENCES]


def error_share(facts: RolloutFacts) -> GateView:
    """Inferences that failed: the treatment's share above the limit, and above the control's by as much."""
    limit = facts.spec.policy.error_share
    shares = {}
    for arm in (TREATMENT, CONTROL):
        count = sum(device.inferences + device.errors for device in facts.exposed(arm))
        errors = sum(device.errors for device in facts.exposed(arm))
        shares[arm] = errors / count if count >= ERROR_MIN_INFERENCES else None
    treated = shares[TREATMENT]
    if treated is None:
        return GateView("error_share", PASS, f"not measured yet: fewer than {ERROR_MIN_INFERENCES} inferences", None, limit)
    allowed = limit + (shares[CONTROL] or 0.0)
    reason = f"{treated:.2%} of the treatment's inferences failed, it fails above {allowed:.2%}"
    return GateView("error_share", FAIL if treated > allowed else PASS, reason, treated, allowed)


def drift(facts: RolloutFacts) -> GateView:
    """Drift of the treatment that the control, on the same kind of data, does not show."""
    drifting = {arm: _drifting_share(facts.exposed(arm)) for arm in (CONTROL, TREATMENT)}
    treated, control = drifting[TREATMENT], drifting[CONTROL]
    if treated is None:
        return GateView("drift", PASS, "not measured yet: no device has a window with enough inferences")
    reason = f"{treated:.0%} of the treatment's devices drift from the reference"
    if control is None:
        return GateView(
            "drift", PASS, f"{reason}; reported only, since without a control the version's drift is not told from the data's", treated
        )
    verdict = FAIL if treated > 0.5 and treated > 2 * control else PASS  # noqa: PLR2004
    return GateView("drift", verdict, f"{reason}, {control:.0%} of the control's", treated, 0.5)


def _drifting_share(devices: Sequence[DeviceFacts]) -> float | None:
    measured = [device for device in devices if device.drift_state in {"ok", "drifting"}]
    return sum(device.drift_state == "drifting" for device in measured) / len(measured) if measured else None


def sample_ratio(facts: RolloutFacts) -> GateView:
    """The arms report in the ratio in which devices were assigned; if not, something takes devices away."""
    settled = {arm: [d for d in facts.exposed(arm) if d.settled and not d.failed] for arm in (TREATMENT, CONTROL)}
    if not facts.has_control or not settled[TREATMENT] or not settled[CONTROL]:
        return GateView("sample_ratio", PASS, "nothing to compare: one arm only, or no device has settled", None, RATIO_LIMIT)
    reporting = (sum(d.inferences > 0 for d in settled[TREATMENT]), sum(d.inferences > 0 for d in settled[CONTROL]))
    share = len(settled[TREATMENT]) / (len(settled[TREATMENT]) + len(settled[CONTROL]))
    evidence = math.exp(min(log_ratio_evidence(reporting, share), 700.0))
    seen = f"{reporting[0]} treatment and {reporting[1]} control devices report"
    reason = f"{seen}, {share:.0%} expected of the treatment; evidence {evidence:.3g}"
    return GateView("sample_ratio", FAIL if evidence >= RATIO_LIMIT else PASS, reason, evidence, RATIO_LIMIT)


GATES: tuple[Callable[[RolloutFacts], GateView], ...] = (
    install_failures,
    max_failures,
    phase_success,
    error_share,
    latency,
    drift,
    sample_ratio,
    minimum_inferences,
)
"""Every gate; the order is the order on the screen, and the first that fails gives the reason."""
