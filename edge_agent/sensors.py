"""The device's sensors, all read below one root folder; a sensor that is absent or broken is None, never zero.

Linux shows them as small files under `/proc` and `/sys`; elsewhere psutil answers what it can. The files
of some boards are in `tests/golden/sysfs`, written after their drivers' documentation.
"""

import contextlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil

VCGENCMD_PATIENCE_S = 1.0
MEMORY_LASTS_S = 30.0
_PLAUSIBLE_C = (-40.0, 150.0)  # zones without a sensor show absurd values
_PROCESSOR_HWMON = {"coretemp", "k10temp", "cpu_thermal", "soc_thermal"}
_GPU_NAMES = re.compile(r"gpu|gv11b|gp10b|ga10b|gm20b")
_SILENT: set[str] = set()  # programs that gave no answer: whoever hangs once is not asked again
_WHOLE_BOARD_RAILS = {"VDD_IN", "POM_5V_IN"}


def sensors_root() -> Path:
    """Below what `/proc` and `/sys` are read: elsewhere where EYELET_AGENT_SENSORS says so, as in a container."""
    return Path(os.environ.get("EYELET_AGENT_SENSORS", "/"))


class Readings(NamedTuple):
    """What the sensors say."""

    cpu_percent: float
    memory_total_bytes: int
    memory_available_bytes: int
    agent_memory_bytes: int
    disk_free_bytes: int
    temperature_c: float | None = None
    throttled_bits: int | None = None
    gpu_load_percent: float | None = None
    power_w: float | None = None
    memory_pressure_percent: float | None = None


class Sensors:
    """Reads the device. The processor's load is that since the reading before."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        """`folder` is on the disk whose space counts; tests give a recorded `root`."""
        self._folder = folder
        self._root = root or sensors_root()
        self._processor = read_processor(self._root)
        self._memory_bytes, self._counted_s = 0, float("-inf")
        psutil.cpu_percent()

    def read(self) -> Readings:
        """All sensors once; some milliseconds."""
        total, available = read_memory(self._root)
        return Readings(
            cpu_percent=self._cpu_percent(),
            memory_total_bytes=total,
            memory_available_bytes=available,
            agent_memory_bytes=self._memory(),
            disk_free_bytes=psutil.disk_usage(str(self._folder)).free,
            temperature_c=read_temperature(self._root),
            throttled_bits=read_throttled(self._root),
            gpu_load_percent=read_gpu_load(self._root),
            power_w=read_power(self._root),
            memory_pressure_percent=read_memory_pressure(self._root),
        )

    def _memory(self) -> int:
        """Counted anew twice a minute: the kernel walks through every page of the agent for it."""
        now_s = time.monotonic()
        if now_s - self._counted_s > MEMORY_LASTS_S:
            self._memory_bytes, self._counted_s = agent_memory(), now_s
        return self._memory_bytes

    def _cpu_percent(self) -> float:
        before, now = self._processor, read_processor(self._root)
        self._processor = now
        if before is None or now is None or now.total <= before.total:
            return float(psutil.cpu_percent())
        return round(100 * (1 - (now.idle - before.idle) / (now.total - before.total)), 1)


class Processor(NamedTuple):
    """Ticks of all processors since the device's start."""

    idle: int
    total: int


def read_processor(root: Path) -> Processor | None:
    """From `/proc/stat`; None where there is none."""
    text = _read(root / "proc/stat").partition("\n")[0].split()
    if text[:1] != ["cpu"] or not all(field.isdigit() for field in text[1:9]):
        return None
    ticks = [int(field) for field in text[1:9]]  # user nice system idle iowait irq softirq steal
    return Processor(ticks[3] + ticks[4], sum(ticks))


def read_memory(root: Path) -> tuple[int, int]:
    """Bytes in all and available."""
    fields = dict(re.findall(r"^(MemTotal|MemAvailable):\s+(\d+) kB$", _read(root / "proc/meminfo"), re.MULTILINE))
    if len(fields) == 2:  # noqa: PLR2004  (both lines are there)
        return int(fields["MemTotal"]) << 10, int(fields["MemAvailable"]) << 10
    memory = psutil.virtual_memory()
    return memory.total, memory.available


def read_memory_pressure(root: Path) -> float | None:
    """Percent of the last ten seconds in which some process waited for memory (PSI); None where the kernel does not say."""
    found = re.search(r"^some avg10=(\d+\.\d+) ", _read(root / "proc/pressure/memory"), re.MULTILINE)
    return float(found.group(1)) if found else None


class Zone(NamedTuple):
    """One place whose temperature is measured; at `critical_c` the system switches itself off."""

    temperature_c: float
    critical_c: float | None = None


def read_temperature(root: Path) -> float | None:
    """The hottest place in °C."""
    return max((zone.temperature_c for zone in read_zones(root)), default=None)


def read_zones(root: Path) -> list[Zone]:
    """The thermal zones, or the processor's own sensor where there are none; empty where nothing is measured."""
    folders = sorted(root.glob("sys/class/thermal/thermal_zone*"))
    found = [_zone(folder / "temp", _critical_trip(folder)) for folder in folders]
    if not any(found):
        inputs = [path for chip in _chips(root, _PROCESSOR_HWMON) for path in sorted(chip.glob("temp*_input"))]
        found = [_zone(path, _celsius(path.with_name(path.name.replace("_input", "_crit")))) for path in inputs]
    return [zone for zone in found if zone is not None]


def _zone(path: Path, critical_c: float | None) -> Zone | None:
    temperature_c = _celsius(path)
    return Zone(temperature_c, critical_c) if temperature_c is not None else None


def _critical_trip(folder: Path) -> float | None:
    kinds = [path for path in folder.glob("trip_point_*_type") if _read(path).strip() == "critical"]
    found = [value for path in kinds if (value := _celsius(path.with_name(path.name.replace("_type", "_temp")))) is not None]
    return min((value for value in found if value > 0), default=None)  # 0: the board's description leaves it open


def _celsius(path: Path) -> float | None:
    low, high = _PLAUSIBLE_C
    value = _read_int(path)
    return value / 1000 if value is not None and low < value / 1000 < high else None


def read_throttled(root: Path) -> int | None:
    """Throttling bits of a Raspberry Pi (0 under-voltage, 1 capped, 2 throttled, 3 hot; 16 to 19: since boot).

    From the firmware's file, else by `vcgencmd`, else only bit 0 by the under-voltage alarm (`rpi_volt`).
    """
    bits = _read_int(root / "sys/devices/platform/soc/soc:firmware/get_throttled", 16)
    if bits is not None:
        return bits
    alarms = [value for chip in _chips(root, {"rpi_volt"}) if (value := _read_int(chip / "in0_lcrit_alarm")) is not None]
    bits = _ask_vcgencmd(root)
    return bits if bits is not None else (int(any(alarms)) if alarms else None)


def _ask_vcgencmd(root: Path) -> int | None:
    program = shutil.which("vcgencmd", path=None if root == Path("/") else str(root / "usr/bin"))
    if program is None:
        return None
    if program in _SILENT:
        return None
    try:
        answer = subprocess.run([program, "get_throttled"], capture_output=True, text=True, check=False, timeout=VCGENCMD_PATIENCE_S)
    except (OSError, subprocess.SubprocessError):
        _SILENT.add(program)
        return None
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", answer.stdout)
    return int(found.group(1), 16) if found else None


def read_gpu_load(root: Path) -> float | None:
    """Load of a Jetson's GPU in percent; None elsewhere."""
    paths = [path / "device/load" for path in root.glob("sys/class/devfreq/*") if _GPU_NAMES.search(path.name)]
    for path in (*paths, root / "sys/devices/platform/gpu.0/load", root / "sys/devices/gpu.0/load"):
        permille = _read_int(path)
        if permille is not None:
            return permille / 10
    return None


def read_power(root: Path) -> float | None:
    """Watts that the board takes, by its INA3221 or INA238 (Jetson): the input's rail, or the sum where no rail is the whole board's."""
    rails = dict(rail for chip in _chips(root, {"ina3221"}) for rail in _rails(chip)) or dict(_older_rails(root))
    watts = [value / 1e6 for chip in _chips(root, {"ina238"}) if (value := _read_int(chip / "power1_input")) is not None]
    whole = [power for label, power in rails.items() if label in _WHOLE_BOARD_RAILS]
    found = whole or [*rails.values(), *watts]
    return round(sum(found), 3) if found else None


def _rails(chip: Path) -> list[tuple[str, float]]:
    """Label and watts of each rail of an INA3221 that has both a voltage (mV) and a current (mA)."""
    found = []
    for path in sorted(chip.glob("in[1-3]_label")):
        number = path.name[2]
        millivolts, milliamperes = _read_int(chip / f"in{number}_input"), _read_int(chip / f"curr{number}_input")
        if millivolts is not None and milliamperes is not None:
            found.append((_read(path).strip(), millivolts * milliamperes / 1e6))
    return found


def _older_rails(root: Path) -> list[tuple[str, float]]:
    """Label and watts of each rail as JetPack 4 shows them (mW)."""
    names = sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*"))
    powers = {path: _read_int(path.with_name(path.name.replace("rail_name_", "in_power") + "_input")) for path in names}
    return [(_read(path).strip(), power / 1000) for path, power in powers.items() if power is not None]


def _chips(root: Path, names: set[str]) -> list[Path]:
    return sorted(path.parent for path in root.glob("sys/class/hwmon/hwmon*/name") if _read(path).strip() in names)


def agent_memory() -> int:
    """Bytes of the agent and its children: their shares of memory (PSS) where the system tells, else what is resident."""
    return sum(_memory_of(pid) for pid in (os.getpid(), *descendants(os.getpid())))


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on; one that has just begun or ended may be missing."""
    lists = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if not lists:  # not Linux, or a kernel without these lists: look at every process there is
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return []
    children = [int(text) for file in lists for text in _read(file).split()]
    return [*children, *(each for child in children for each in descendants(child))]


def _memory_of(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB$", _read(Path(f"/proc/{pid}/smaps_rollup")), re.MULTILINE)
    if found:
        return int(found.group(1)) << 10
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # it ended meanwhile
        return 0


def _read(path: Path) -> str:
    """A small file's text; "" where it is absent or can not be read just now."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _read_int(path: Path, base: int = 10) -> int | None:
    try:
        return int(_read(path).strip(), base)
    except ValueError:
        return None
