"""Cells of the fleet page: devices, gates, arms, assignments; states in words and tones."""

from contract.messages import ReportedSlot
from contract.rest import ArmView, AssignmentView, DeviceView, GateView, RolloutView
from contract.states import FINAL_UPDATE_STATES, HealthState, Presence
from desktop_app.ui import figures
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.tables import Cell, Column

DEVICE_COLUMNS = (
    Column(Text("Device"), stretch=True),
    Column(Text("Hardware"), stretch=True),
    Column(Text("Presence")),
    Column(Text("Running"), stretch=True),
    Column(Text("Update")),
    Column(Text("Health")),
    Column(Text("p95"), is_number=True),
    Column(Text("Temp."), is_number=True),
)
GATE_COLUMNS = (Column(Text("Gate")), Column(Text("Reason"), stretch=True), Column(Text("Verdict")))
ARM_COLUMNS = (
    Column(Text("Arm")),
    Column(Text("Version"), is_number=True),
    Column(Text("Devices"), is_number=True),
    Column(Text("Inferences"), is_number=True),
    Column(Text("Errors"), is_number=True),
    Column(Text("p50"), is_number=True),
    Column(Text("p95"), is_number=True),
    Column(Text("Confidence"), is_number=True),
    Column(Text("Drift"), is_number=True),
)
ROLLOUT_STATES: dict[str, tuple[Text, str]] = {
    "draft": (Text("draft"), "neutral"),
    "waiting_for_approval": (Text("waiting for approval"), "caution"),
    "ready": (Text("ready"), "neutral"),
    "running": (Text("running"), "accent"),
    "paused": (Text("paused"), "caution"),
    "succeeded": (Text("succeeded"), "good"),
    "rolling_back": (Text("rolling back"), "bad"),
    "rolled_back": (Text("rolled back"), "bad"),
    "aborted": (Text("aborted"), "bad"),
    "superseded": (Text("superseded"), "neutral"),
}
UPDATE_STATES: dict[str, Text] = {
    "queued": Text("queued"),
    "preflight": Text("preflight"),
    "downloading": Text("downloading"),
    "verifying": Text("verifying"),
    "staged": Text("staged"),
    "self_testing": Text("self-testing"),
    "shadowing": Text("shadowing"),
    "activating": Text("activating"),
    "probation": Text("probation"),
    "committing": Text("committing"),
    "rolling_back": Text("rolling back"),
    "done": Text("done"),
    "failed": Text("failed"),
    "rolled_back": Text("rolled back"),
}
VERDICTS: dict[str, tuple[Text, str]] = {"pass": (Text("pass"), "good"), "wait": (Text("wait"), "caution"), "fail": (Text("fail"), "bad")}
HEALTH: dict[HealthState, tuple[Text, str]] = {
    HealthState.HEALTHY: (Text("healthy"), "good"),
    HealthState.DEGRADED: (Text("degraded"), "caution"),
    HealthState.FAILING: (Text("failing"), "bad"),
}


def device_cells(device: DeviceView) -> tuple[Cell, ...]:
    """One device's row."""
    slot = next(iter(device.reported.slots.values()), None) if device.reported is not None else None
    temperature = device.health.temperature_c if device.health is not None else None
    hardware = figures.one_line(device.hardware_class) or figures.NONE
    return (
        Cell(device.device),
        Cell(hardware),
        _presence_cell(device),
        Cell(_running(slot)),
        _update_cell(slot),
        _health_cell(device),
        Cell(figures.milliseconds(device.latency_p95_ms), tip=Text("of the last window that the device sent")),
        Cell(figures.NONE if temperature is None else f"{temperature:.0f} °C"),
    )


def _presence_cell(device: DeviceView) -> Cell:
    if device.revoked:
        return Cell(Text("revoked"), "bad")
    if device.presence is Presence.ONLINE:
        return Cell(Text("online"), "good")
    seen = figures.local_time(device.last_seen_at) if device.last_seen_at else figures.NONE
    return Cell(Text("offline"), "bad", tip=Text("last seen {time}", time=seen))


def _running(slot: ReportedSlot | None) -> str:
    if slot is None or slot.current is None:
        return figures.NONE
    variant = f" · {slot.variant}" if slot.variant else ""
    return f"{slot.current.model} v{slot.current.version}{variant}"


def _update_cell(slot: ReportedSlot | None) -> Cell:
    update = slot.update if slot is not None else None
    if update is None:
        return Cell(figures.NONE)
    text = UPDATE_STATES[update.state.value]
    tone = "good" if update.state.value == "done" else "bad" if update.state in FINAL_UPDATE_STATES else "accent"
    reason = update.reason.value.replace("_", " ") if update.reason is not None else ""
    return Cell(text, tone, tip=figures.one_line(" · ".join(part for part in (reason, update.detail) if part)))


def _health_cell(device: DeviceView) -> Cell:
    if device.health is None:
        return Cell(figures.NONE)
    text, tone = HEALTH[device.health.state]
    return Cell(text, tone, tip=figures.one_line("; ".join(device.health.reasons)))


def gate_cells(gate: GateView) -> tuple[Cell, ...]:
    """One gate's row."""
    text, tone = VERDICTS[gate.verdict.value]
    return Cell(gate.gate.replace("_", " ")), Cell(gate.reason, tip=figures.one_line(gate.reason)), Cell(text, tone)


def arm_cells(arm: ArmView) -> tuple[Cell, ...]:
    """One arm's row."""
    return (
        Cell(arm_name(arm.arm)),
        Cell(f"v{arm.version}"),
        Cell(figures.count(len(arm.devices)), tip=figures.one_line(", ".join(arm.devices))),
        Cell(figures.count(arm.inferences)),
        Cell(figures.count(arm.errors)),
        Cell(figures.milliseconds(arm.latency_p50_ms)),
        Cell(figures.milliseconds(arm.latency_p95_ms)),
        Cell(figures.percent(arm.mean_confidence)),
        Cell(figures.NONE if arm.drift is None else f"{arm.drift:.3f}"),
    )


def arm_name(arm: str) -> Text | str:
    """An arm in words."""
    names = {"control": Text("control"), "treatment": Text("treatment")}
    return names.get(arm, arm)


def settled_in_phase(rollout: RolloutView, phase: int) -> tuple[int, int, int]:
    """Devices of a phase that are settled, that failed, and all of them."""
    mine: list[AssignmentView] = [a for a in rollout.assignments if a.phase == phase]
    return sum(a.settled and not a.failed for a in mine), sum(a.failed for a in mine), len(mine)
