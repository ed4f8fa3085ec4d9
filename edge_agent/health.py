"""How the device is: what the sensors and the slots say, judged by a pure rule. An absent sensor is None."""

from collections.abc import Mapping
from typing import NamedTuple

from contract.codec import utc_now
from contract.messages import Health
from contract.states import HealthState
from edge_agent.sensors import Readings

MEMORY_LOW_SHARE = 0.05
DISK_LOW_BYTES = 200 << 20
MEMORY_PRESSURE_PERCENT = 20.0
HOT_C = 85.0
THROTTLING: Mapping[int, str] = {
    0: "its supply gives too little voltage",
    1: "its frequency is capped",
    2: "the processor is throttled",
    3: "it is at its soft limit of temperature",
}
"""A Raspberry Pi's throttling bits; the same plus 16 say what has happened since its start."""
_LESS_MEMORY = "End what else runs here, or choose a smaller variant: eyelet-agent tune"


class Serving(NamedTuple):
    """What the supervisor knows of its slots."""

    wanted: int  # slots that should serve
    answering: int  # slots whose worker is ready
    recent_crashes: int


class Agent(NamedTuple):
    """What a health message says of the agent besides its readings."""

    boot_id: str
    version: str
    uptime_s: float
    outbox_depth: int
    outbox_dropped: int


def find_reasons(readings: Readings, serving: Serving) -> dict[str, str]:
    """What speaks against this device, in words, each with what to do about it."""
    found = {}
    if serving.answering < serving.wanted:
        found[f"{serving.wanted - serving.answering} of {serving.wanted} slots do not answer"] = "See what is said of the slot"
    if serving.recent_crashes:
        found[f"workers ended unexpectedly {serving.recent_crashes} times in ten minutes"] = "See what is said of the slot"
    if readings.memory_available_bytes < MEMORY_LOW_SHARE * readings.memory_total_bytes:
        found[f"only {readings.memory_available_bytes >> 20} MiB of memory are available"] = _LESS_MEMORY
    if readings.disk_free_bytes < DISK_LOW_BYTES:
        found[f"only {readings.disk_free_bytes >> 20} MiB are free on the disk"] = "Free some space; an update needs room beside what runs"
    if readings.temperature_c is not None and readings.temperature_c > HOT_C:
        found[f"{readings.temperature_c:.0f} °C"] = "Cool it: a heat sink, a fan, shade; or give it fewer frames a second"
    if words := _throttling_words(readings.throttled_bits):
        found[words] = "A supply that holds its voltage under load and a short cable; where it is heat: cool it"
    if (readings.memory_pressure_percent or 0.0) > MEMORY_PRESSURE_PERCENT:
        found[f"programs wait for memory {readings.memory_pressure_percent:.0f} % of the time"] = _LESS_MEMORY
    return found


def judge(readings: Readings, serving: Serving) -> tuple[HealthState, tuple[str, ...]]:
    """Can this device serve, and what speaks against it, in words."""
    reasons = tuple(find_reasons(readings, serving))
    if serving.answering < serving.wanted:
        return HealthState.FAILING, reasons
    return HealthState.DEGRADED if reasons else HealthState.HEALTHY, reasons


def _throttling_words(bits: int | None) -> str:
    words = [text for bit, text in THROTTLING.items() if bits is not None and bits >> bit & 1]
    return f"{' and '.join(words)} (throttling bits {bits:#x})" if words else ""


def build_health(readings: Readings, serving: Serving, agent: Agent) -> Health:
    """The message for the fleet."""
    state, reasons = judge(readings, serving)
    return Health(
        schema_version=Health.SCHEMA_VERSION,
        boot_id=agent.boot_id,
        at=utc_now(),
        state=state,
        reasons=reasons,
        cpu_percent=readings.cpu_percent,
        memory_total_bytes=readings.memory_total_bytes,
        memory_available_bytes=readings.memory_available_bytes,
        agent_memory_bytes=readings.agent_memory_bytes,
        disk_free_bytes=readings.disk_free_bytes,
        uptime_s=agent.uptime_s,
        agent_version=agent.version,
        temperature_c=readings.temperature_c,
        throttled_bits=readings.throttled_bits,
        gpu_load_percent=readings.gpu_load_percent,
        power_w=readings.power_w,
        memory_pressure_percent=readings.memory_pressure_percent,
        outbox_depth=agent.outbox_depth,
        outbox_dropped=agent.outbox_dropped,
    )
