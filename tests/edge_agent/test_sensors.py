"""Sensors of boards that are not here: their small files, below another root."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edge_agent.sensors import Processor, Sensors, descendants, read_power, read_processor, read_throttled

BOARDS = Path(__file__).parent.parent / "golden" / "sysfs"


@pytest.mark.parametrize(
    ("board", "expected"),  # °C, throttling bits, GPU %, W, memory pressure %
    [
        ("raspberry-pi-4", (48.312, 0, None, None, 0.0)),
        ("raspberry-pi-5-undervolted", (86.15, 1, None, None, 37.51)),
        ("jetson-orin-nano", (53.906, None, 43.7, 6.25, None)),
        ("jetson-agx-orin", (None, None, 0.0, 3.97, None)),
        ("jetson-nano", (38.0, None, 100.0, 3.185, None)),
        ("x86-desktop", (46.0, None, None, None, None)),
        ("virtual-machine", (None, None, None, None, None)),
    ],
)
def test_a_recorded_board(board: str, expected: tuple[float | None, ...], tmp_path: Path) -> None:
    readings = Sensors(tmp_path, BOARDS / board).read()
    assert readings[5:] == expected
    assert readings.memory_total_bytes > readings.memory_available_bytes > 0


def test_memory_is_that_of_the_recorded_board(tmp_path: Path) -> None:
    readings = Sensors(tmp_path, BOARDS / "raspberry-pi-4").read()
    assert (readings.memory_total_bytes, readings.memory_available_bytes) == (3884372 << 10, 3301228 << 10)


def test_the_processors_load_is_that_since_the_reading_before(tmp_path: Path) -> None:
    stat = tmp_path / "proc" / "stat"
    stat.parent.mkdir()
    stat.write_text("cpu  100 0 0 800 100 0 0 0 0 0\n")
    sensors = Sensors(tmp_path, tmp_path)
    assert read_processor(tmp_path) == Processor(900, 1000)
    stat.write_text("cpu  150 0 20 850 100 0 0 30 0 0\n")
    assert sensors.read().cpu_percent == pytest.approx(66.7)


def test_absent_and_broken_sensors_are_none_not_zero(tmp_path: Path) -> None:
    for path, text in {
        "sys/class/thermal/thermal_zone0/temp": "not a number",
        "sys/class/thermal/thermal_zone1/temp": "-256000",
        "sys/class/hwmon/hwmon0/name": "ina3221",
        "sys/class/hwmon/hwmon0/in1_label": "VDD_IN",
        "sys/class/hwmon/hwmon1/name": "rpi_volt",
        "sys/class/devfreq/17000000.gpu/device/load": "",
        "proc/pressure/memory": "nonsense",
        "proc/stat": "cpu a b c",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    readings = Sensors(tmp_path, tmp_path).read()
    assert readings[5:] == (None,) * 5
    assert readings.memory_total_bytes > 0, "psutil answers instead"


@pytest.mark.parametrize(
    ("answer", "bits"), [("throttled=0x50005", 0x50005), ("throttled=0x0", 0), ("VCHI initialization failed", None), ("", None)]
)
def test_vcgencmd_answers_where_the_firmware_has_no_file(answer: str, bits: int | None, tmp_path: Path) -> None:
    program = tmp_path / "usr/bin/vcgencmd"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n[ $1 = get_throttled ] && echo '{answer}'\n")
    program.chmod(0o755)
    assert read_throttled(tmp_path) == bits


def test_a_program_that_hangs_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, asked = tmp_path / "usr/bin/vcgencmd", tmp_path / "asked"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho >> {asked}\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("edge_agent.sensors.VCGENCMD_PATIENCE_S", 0.5)
    assert [read_throttled(tmp_path) for _ in range(3)] == [None, None, None]
    assert len(asked.read_text()) <= 1


def test_power_as_older_jetpacks_show_it(tmp_path: Path) -> None:
    """Names with a colon are no files of the repository: Windows knows no such name."""
    device = tmp_path / "sys/bus/i2c/drivers/ina3221x/1-0040/iio:device0"
    device.mkdir(parents=True)
    for number, (label, milliwatts) in enumerate([("GPU", "612"), ("CPU", "1204"), ("SOC", "")]):
        (device / f"rail_name_{number}").write_text(f"{label}\n")
        (device / f"in_power{number}_input").write_text(f"{milliwatts}\n")
    assert read_power(tmp_path) == 1.816
    (device / "rail_name_2").write_text("POM_5V_IN\n")
    (device / "in_power2_input").write_text("3185\n")
    assert read_power(tmp_path) == 3.185


def test_the_firmwares_own_file_says_most(tmp_path: Path) -> None:
    path = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"  # no file of the repository: Windows knows no such name
    path.parent.mkdir(parents=True)
    path.write_text("50005\n")
    assert read_throttled(tmp_path) == 0x50005


def test_the_agents_own_memory_counts_its_children(tmp_path: Path) -> None:
    assert Sensors(tmp_path).read().agent_memory_bytes > 1 << 20


def test_children_of_children_belong_to_the_agent() -> None:
    begin = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdin=subprocess.PIPE); "
    )
    command = [sys.executable, "-c", begin + "print(child.pid, flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= set(descendants(os.getpid()))
        assert descendants(child.pid) == [grandchild] == [one.pid for one in psutil.Process(child.pid).children(recursive=True)]
        child.kill()


def test_the_agents_memory_is_counted_twice_a_minute(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    first = sensors.read().agent_memory_bytes
    sensors._memory_bytes = 1
    assert sensors.read().agent_memory_bytes == 1
    sensors._counted_s -= 31
    assert sensors.read().agent_memory_bytes > first / 2
