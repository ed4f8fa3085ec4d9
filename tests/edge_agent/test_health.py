"""The rule that judges what the sensors say, and the message."""

from pathlib import Path

import pytest

from contract.states import HealthState
from edge_agent.health import Agent, Serving, build_health, judge
from edge_agent.sensors import Readings, Sensors

GIB = 1 << 30
FINE = Readings(5.0, 4 * GIB, 2 * GIB, 80 << 20, 10 * GIB, 45.0, None)
SERVING = Serving(wanted=1, answering=1, recent_crashes=0)


@pytest.mark.parametrize(
    ("readings", "serving", "state", "words"),
    [
        (FINE, SERVING, HealthState.HEALTHY, ""),
        (FINE._replace(temperature_c=None), SERVING, HealthState.HEALTHY, ""),
        (FINE, SERVING._replace(answering=0), HealthState.FAILING, "1 of 1 slots do not answer"),
        (FINE, SERVING._replace(recent_crashes=2), HealthState.DEGRADED, "2 times"),
        (FINE._replace(memory_available_bytes=100 << 20), SERVING, HealthState.DEGRADED, "100 MiB of memory"),
        (FINE._replace(disk_free_bytes=1 << 20), SERVING, HealthState.DEGRADED, "1 MiB are free"),
        (FINE._replace(temperature_c=90.0), SERVING, HealthState.DEGRADED, "90 °C"),
        (FINE._replace(throttled_bits=0x50005), SERVING, HealthState.DEGRADED, "too little voltage and the processor is throttled"),
        (FINE._replace(memory_pressure_percent=37.5), SERVING, HealthState.DEGRADED, "wait for memory 38 %"),
        (FINE._replace(gpu_load_percent=100.0, power_w=40.0, memory_pressure_percent=1.0), SERVING, HealthState.HEALTHY, ""),
        (FINE._replace(throttled_bits=0x50000), SERVING, HealthState.HEALTHY, ""),
    ],
)
def test_the_rule(readings: Readings, serving: Serving, state: HealthState, words: str) -> None:
    found, reasons = judge(readings, serving)
    assert found is state
    assert words in " ".join(reasons)


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    health = build_health(Sensors(tmp_path).read(), SERVING, Agent("boot", "0.1.0", 1.5, 3, 4))
    assert health.memory_total_bytes > health.memory_available_bytes > 0
    assert health.agent_memory_bytes > 1 << 20
    assert (health.outbox_depth, health.outbox_dropped, health.uptime_s) == (3, 4, 1.5)
