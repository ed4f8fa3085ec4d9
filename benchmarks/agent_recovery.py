"""How long inference is away when the worker is killed or hangs, and how many requests and frames are lost.

A client asks a real agent at a steady pace, one request at a time; then, in another agent, a local source
gives numbered frames at that pace. The worker gets SIGKILL, or SIGSTOP (a hang: the process lives and does
nothing). The gap is from the signal to the first answer after it.
Run: `python benchmarks/agent_recovery.py [TIMES]`
"""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.endpoint_latency import Client, binary_request
from benchmarks.numbered_frames import Answers, make_frames
from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.running_agent import RunningAgent, prepare_home, running_agent
from benchmarks.small_models import SIDE, VARIANT, make_package, make_sample

FRAMES_PER_S = 100
SETTLE_S = 5.0  # long enough that the next fault is no crash loop, which is answered by growing waits
PATIENCE_S = 15.0


class Outcome(NamedTuple):
    """One fault: seconds without an answer and lost requests."""

    gap_s: float
    lost: int


class SteadyClient(threading.Thread):
    """Asks `FRAMES_PER_S` times a second; a broken connection loses its request and is opened anew."""

    def __init__(self, port: int, request: bytes) -> None:
        super().__init__(daemon=True)
        self._port, self._request = port, request
        self.answered_s: list[float] = []
        self.lost_s: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        client: Client | None = None
        due_s = time.perf_counter()
        while not self._ended.is_set():
            due_s = max(due_s + 1 / FRAMES_PER_S, time.perf_counter())
            time.sleep(max(0.0, due_s - time.perf_counter()))
            try:
                client = client or Client(self._port, self._request)
                client.ask()
            except (OSError, ValueError, RuntimeError):  # ValueError: the answer was cut short
                self.lost_s.append(time.perf_counter())
                client = None
            else:
                self.answered_s.append(time.perf_counter())

    def first_answer_after(self, moment_s: float) -> float | None:
        """When the first answer came after this moment and after whatever was lost; None where none has come yet."""
        since_s = max([moment_s, *self.lost_s[-1:]])
        return next((answered_s for answered_s in list(self.answered_s) if answered_s > since_s), None)

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


def cause(agent: RunningAgent, client: SteadyClient, number: int) -> Outcome:
    """Send one signal to the worker and wait for the first answer of the next one."""
    worker, lost_before = agent.worker(), len(client.lost_s)
    begun_s = time.perf_counter()
    os.kill(worker.pid, number)
    deadline = time.monotonic() + PATIENCE_S
    while worker.pid == agent.worker().pid or client.first_answer_after(begun_s) is None or len(client.lost_s) == lost_before:
        if time.monotonic() > deadline:
            break
        time.sleep(0.005)
    first_s = client.first_answer_after(begun_s)
    if first_s is None:
        raise RuntimeError(f"no answer within {PATIENCE_S:g} s after signal {number}")
    time.sleep(SETTLE_S)
    return Outcome(first_s - begun_s, len(client.lost_s) - lost_before)


def measure(times: int) -> dict[str, list[Outcome]]:
    """Every fault `times` times, in turn."""
    sample = {"frame": np.ascontiguousarray(make_sample("cnn")["frame"][:SIDE, :SIDE])}
    found: dict[str, list[Outcome]] = {"SIGKILL (crash)": [], "SIGSTOP (hang)": []}
    with tempfile.TemporaryDirectory() as folder:
        home = prepare_home(Path(folder) / "home", make_package(Path(folder) / "cnn", "cnn"), VARIANT)
        with running_agent(home) as agent:
            client = SteadyClient(agent.port, binary_request("cnn", sample))
            client.start()
            agent.worker()
            time.sleep(SETTLE_S)
            for _ in range(times):
                for name, number in (("SIGKILL (crash)", signal.SIGKILL), ("SIGSTOP (hang)", signal.SIGSTOP)):
                    found[name].append(cause(agent, client, number))
            client.end()
    return found


def measure_frames(times: int) -> dict[str, list[Outcome]]:
    """Every fault `times` times, in turn, beside a local source."""
    signals = {"SIGKILL (crash), frames": signal.SIGKILL, "SIGSTOP (hang), frames": signal.SIGSTOP}
    with tempfile.TemporaryDirectory() as folder:
        home = prepare_home(Path(folder) / "home", make_package(Path(folder) / "cnn", "cnn"), VARIANT, make_frames(Path(folder) / "home"))
        faults: list[tuple[str, float]] = []
        with running_agent(home) as agent:
            agent.worker()
            time.sleep(SETTLE_S)
            for _ in range(times):
                for name, number in signals.items():
                    os.kill(agent.worker().pid, number)
                    faults.append((name, time.time()))
                    time.sleep(SETTLE_S)
        answers = Answers(home.folder)
    found: dict[str, list[Outcome]] = {name: [] for name in signals}
    for name, moment_s in faults:
        found[name].append(Outcome(*answers.around(moment_s)))
    return found


def main(times: int) -> None:
    """Print one table."""
    say_machine(f"{FRAMES_PER_S} requests or frames a second, one at a time, each fault {times} times; the claim: below 0.5 s, 1 lost")
    found = {**measure(times), **measure_frames(times)}
    rows = [
        (name, *(f"{np.quantile([one.gap_s for one in outcomes], share):.3f}" for share in (0, 0.5, 1)), str(max(o.lost for o in outcomes)))
        for name, outcomes in found.items()
    ]
    print_rows("worker crash and hang", ("fault", "least gap s", "median gap s", "longest gap s", "most lost"), rows)
    claims = []
    for name, outcomes in found.items():
        gaps_s = [one.gap_s for one in outcomes]
        claims.append(at_most(f"{name}: serving again", float(np.median(gaps_s)), 0.5, "s", f"longest: {max(gaps_s):.3g}"))
        claims.append(at_most(f"{name}: lost", max(one.lost for one in outcomes), 1, "lost"))
    print_claims(claims)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
