"""How the device is: sensors read through psutil and sysfs, judged by a pure rule. An absent sensor is None."""

import time
from pathlib import Path
from typing import NamedTuple

import psutil

from contract.codec import utc_now
from contract.messages import Health
from contract.states import HealthState

MEMORY_LOW_SHARE = 0.05
DISK_LOW_BYTES = 200 << 20
HOT_C = 85.0
_THROTTLED_FILE = Path("devices/platform/soc/soc:firmware/get_throttled")


class Readings(NamedTuple):
    """What the sensors say."""

    cpu_percent: float
    memory_total_bytes: int
    memory_available_bytes: int
    agent_memory_bytes: int
    disk_free_bytes: int
    temperature_c: float | None
    throttled_bits: int | None


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


def judge(readings: Readings, serving: Serving) -> tuple[HealthState, tuple[str, ...]]:
    """Can this device serve, and what speaks against it, in words."""
    reasons = []
    if serving.answering < serving.wanted:
        reasons.append(f"{serving.wanted - serving.answering} of {serving.wanted} slots do not answer")
    failing = bool(reasons)
    if serving.recent_crashes:
        reasons.append(f"workers ended unexpectedly {serving.recent_crashes} times in ten minutes")
    if readings.memory_available_bytes < MEMORY_LOW_SHARE * readings.memory_total_bytes:
        reasons.append(f"only {readings.memory_available_bytes >> 20} MiB of memory are available")
    if readings.disk_free_bytes < DISK_LOW_BYTES:
        reasons.append(f"only {readings.disk_free_bytes >> 20} MiB are free on the disk")
    if readings.temperature_c is not None and readings.temperature_c > HOT_C:
        reasons.append(f"{readings.temperature_c:.0f} °C")
    if readings.throttled_bits is not None and readings.throttled_bits & 0xF:
        reasons.append(f"the processor is slowed down (throttling bits {readings.throttled_bits:#x})")
    state = HealthState.FAILING if failing else HealthState.DEGRADED if reasons else HealthState.HEALTHY
    return state, tuple(reasons)


class Sensors:
    """Reads the device. The processor's load is that since the reading before."""

    def __init__(self, folder: Path, sysfs: Path = Path("/sys")) -> None:
        self._folder = folder
        self._sysfs = sysfs
        psutil.cpu_percent()

    def read(self) -> Readings:
        """All sensors once; about a millisecond."""
        memory = psutil.virtual_memory()
        return Readings(
            cpu_percent=psutil.cpu_percent(),
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            agent_memory_bytes=_agent_memory(),
            disk_free_bytes=psutil.disk_usage(str(self._folder)).free,
            temperature_c=read_temperature(self._sysfs),
            throttled_bits=read_throttled(self._sysfs),
        )


def _agent_memory() -> int:
    """Resident bytes of the agent and its children."""
    own = psutil.Process()
    return sum(_resident(process) for process in (own, *own.children(recursive=True)))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it ended meanwhile
        return 0


def read_temperature(sysfs: Path) -> float | None:
    """The hottest thermal zone in °C; None where there is none."""
    values = []
    for path in sysfs.glob("class/thermal/thermal_zone*/temp"):
        value = _read_int(path, base=10)
        if value is not None:
            values.append(value / 1000)
    return max(values) if values else None


def read_throttled(sysfs: Path) -> int | None:
    """Throttling bits of a Raspberry Pi (0 under-voltage, 1 capped, 2 throttled, 3 hot; 16 to 19: since boot)."""
    return _read_int(sysfs / _THROTTLED_FILE, base=16)


def _read_int(path: Path, base: int) -> int | None:
    try:
        return int(path.read_text(encoding="ascii").strip(), base)
    except (OSError, ValueError, UnicodeDecodeError):
        return None


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
        outbox_depth=agent.outbox_depth,
        outbox_dropped=agent.outbox_dropped,
    )


class Uptime:
    """Seconds since the agent started."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._started
