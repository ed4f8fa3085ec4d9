"""Whether a worker that owes an answer hangs, or only waits its turn on a busy device.

Killing a worker that works costs a frame and counts against its version, so time alone convicts nobody:
a worker that *stands still* (no thread runs, waits for a processor or for the disk) is given the
deadline of one inference; one that *computes* is given that deadline in processor time, and at least
`COMPUTING_S`, for one inference (a frame may be far larger than those that were measured), and `BUSY_S`
for anything else (unpacking a large request); one that is *starved* by other programs, or waits for its
disk, is given `STARVED_S`. Only time in which the supervisor itself was awake counts.
"""

import enum
import os
import time
from pathlib import Path
from typing import NamedTuple

import psutil

FLOOR_S = 0.12
FACTOR = 10.0
COMPUTING_S, BUSY_S, STARVED_S = 1.0, 5.0, 30.0
LOOK_S = 0.025
SUSPECT_S = 0.02
_PROC = Path("/proc")


class Posture(enum.Enum):
    """What a process does at one moment."""

    RUNNABLE = "runnable"
    WAITING_FOR_DISK = "waiting for the disk"
    STILL = "still"


class Look(NamedTuple):
    """A worker at one moment: `cpu_s` is the processor time of all its threads, `begun_ns` of the inference under way (0: none)."""

    at_s: float
    cpu_s: float
    posture: Posture
    begun_ns: int = 0


def deadline_of(latency_us: float, setting_ms: float = 0.0) -> float:
    """Seconds for one inference: what the owner set, else ten times the measured latency and at least 0.12 s."""
    return setting_ms / 1000 if setting_ms else max(FLOOR_S, FACTOR * latency_us / 1e6)


class HangWatch:
    """One question to a worker that has not been answered yet."""

    def __init__(self, deadline_s: float, asked: Look, busy_s: float = BUSY_S) -> None:
        """`busy_s`: the processor time that it may take for anything but an inference."""
        self._deadline_s = deadline_s
        self._busy_s = max(busy_s, deadline_s)
        self._computing_s = max(COMPUTING_S, deadline_s)
        self.step_s = max(LOOK_S, deadline_s / 20)
        self._asked = self._last = self._inference = asked
        self._waited_s = self._still_s = 0.0

    def judge(self, look: Look) -> str:
        """Why the worker hangs, in words; "" while it may still answer."""
        passed_s = min(look.at_s - self._last.at_s, 2 * self.step_s)  # more: the supervisor itself was held up
        moved = look.cpu_s > self._last.cpu_s
        self._last = look
        self._waited_s += passed_s
        self._still_s = self._still_s + passed_s if look.posture is Posture.STILL and not moved else 0.0
        if look.begun_ns != self._inference.begun_ns:
            self._inference = look
        return self._conviction(look)

    @property
    def suspects(self) -> bool:
        """Whether it stands still already, though not for long enough."""
        return self._still_s >= SUSPECT_S

    def _conviction(self, look: Look) -> str:
        if self._still_s >= self._deadline_s:
            return f"hangs: it stood still for {self._still_s:.2f} s although it was asked"
        computed_s = look.cpu_s - self._inference.cpu_s
        if look.begun_ns and min(computed_s, self._waited_s) >= self._computing_s:
            return f"hangs: one inference computed for {computed_s:.2f} s, its deadline is {self._computing_s:.2f} s"
        if look.cpu_s - self._asked.cpu_s >= self._busy_s:
            return f"hangs: it computed for {look.cpu_s - self._asked.cpu_s:.1f} s without an answer"
        if self._waited_s >= max(STARVED_S, 3 * self._busy_s):
            return f"hangs: no answer within {self._waited_s:.0f} s"
        return ""


def look_at(pid: int, begun_ns: int = 0) -> Look | None:
    """A process now; None where it is gone."""
    try:
        if (_PROC / str(pid) / "task").is_dir():
            return Look(time.monotonic(), *_linux_threads(pid), begun_ns)
        process = psutil.Process(pid)
        times, state = process.cpu_times(), process.status()
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    posture = {psutil.STATUS_RUNNING: Posture.RUNNABLE, psutil.STATUS_DISK_SLEEP: Posture.WAITING_FOR_DISK}.get(state, Posture.STILL)
    return Look(time.monotonic(), times.user + times.system, posture, begun_ns)


def _linux_threads(pid: int) -> tuple[float, Posture]:
    """Processor seconds of all threads together, and the liveliest thread's posture."""
    ticks, states = 0, set()
    for stat in (_PROC / str(pid) / "task").glob("*/stat"):
        try:
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        except OSError:  # this thread ended meanwhile
            continue
        states.add(fields[0])
        ticks += int(fields[11]) + int(fields[12])
    posture = Posture.RUNNABLE if "R" in states else Posture.WAITING_FOR_DISK if "D" in states else Posture.STILL
    return ticks / os.sysconf("SC_CLK_TCK"), posture
