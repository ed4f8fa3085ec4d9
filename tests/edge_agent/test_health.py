"""Sensors from recorded sysfs trees, and the rule that judges them."""

from pathlib import Path

import pytest

from contract.states import HealthState
from edge_agent.health import Agent, Readings, Sensors, Serving, build_health, judge, read_temperature, read_throttled

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
        (FINE._replace(throttled_bits=0x50005), SERVING, HealthState.DEGRADED, "0x50005"),
        (FINE._replace(throttled_bits=0x50000), SERVING, HealthState.HEALTHY, ""),
    ],
)
def test_the_rule(readings: Readings, serving: Serving, state: HealthState, words: str) -> None:
    found, reasons = judge(readings, serving)
    assert found is state
    assert words in " ".join(reasons)


def test_a_recorded_pi(tmp_path: Path) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48312\n")
    firmware = tmp_path / "devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    assert read_temperature(tmp_path) == pytest.approx(48.312)
    assert read_throttled(tmp_path) == 0x50005


def test_absent_and_broken_sensors_are_none_not_zero(tmp_path: Path) -> None:
    zone = tmp_path / "class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("not a number")
    assert read_temperature(tmp_path) is None
    assert read_throttled(tmp_path) is None


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    health = build_health(Sensors(tmp_path).read(), SERVING, Agent("boot", "0.1.0", 1.5, 3, 4))
    assert health.memory_total_bytes > health.memory_available_bytes > 0
    assert health.agent_memory_bytes > 1 << 20
    assert (health.outbox_depth, health.outbox_dropped, health.uptime_s) == (3, 4, 1.5)
