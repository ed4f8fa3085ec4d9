"""Processor time at 30 frames a second with a model of about half a millisecond, beside ONNX Runtime as it comes.

The agent (supervisor and worker, frames of 96 x 96 over HTTP) against a bare loop with one thread, and
against the same loop with the library's default settings, whose threads spin between two frames.
Run: `python benchmarks/agent_cpu.py [SECONDS]`
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.endpoint_latency import Client, binary_request
from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.running_agent import prepare_home, running_agent
from benchmarks.small_models import SIDE, VARIANT, make_cnn, make_package, make_sample, make_session

FRAMES_PER_S = 30
SETTLE_S = 2.0


def small_sample() -> dict[str, np.ndarray]:
    """A frame of the network's own size, so that the model and not the copying is measured."""
    return {"frame": np.ascontiguousarray(make_sample("cnn")["frame"][:SIDE, :SIDE])}


def keep_pace(work: Callable[[], object], seconds: float) -> list[float]:
    """Call `work` 30 times a second; returns what each took in milliseconds."""
    begun_s, took_ms = time.perf_counter(), []
    for index in range(round(seconds * FRAMES_PER_S)):
        time.sleep(max(0.0, begun_s + index / FRAMES_PER_S - time.perf_counter()))
        before_s = time.perf_counter()
        work()
        took_ms.append((time.perf_counter() - before_s) * 1000)
    return took_ms


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds so far."""
    times = process.cpu_times()
    return times.user + times.system


def bare_loop(settings: str, seconds: float) -> None:
    """Be the child: a session at 30 frames a second; prints its share of a processor in percent, and its median."""
    import onnxruntime

    session = make_session(make_cnn()) if settings == "one-thread" else onnxruntime.InferenceSession(make_cnn())
    sample, own = small_sample(), psutil.Process()
    keep_pace(lambda: session.run(None, sample), 1.0)
    before, begun_s = cpu_s(own), time.perf_counter()
    took_ms = keep_pace(lambda: session.run(None, sample), seconds)
    print(f"{100 * (cpu_s(own) - before) / (time.perf_counter() - begun_s):.2f} {np.median(took_ms):.3f}")


def measure_bare(settings: str, seconds: float) -> tuple[str, ...]:
    """One row of the table, from a process of its own."""
    command = [sys.executable, __file__, "--bare", settings, str(seconds)]
    share, median = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return f"bare loop, {settings}", "", "", share, median


def measure_agent(seconds: float) -> list[tuple[str, ...]]:
    """The rows of the agent: at 30 frames a second, and idle."""
    with tempfile.TemporaryDirectory() as folder:
        home = prepare_home(Path(folder) / "home", make_package(Path(folder) / "cnn", "cnn"), VARIANT)
        with running_agent(home) as agent:
            processes = (psutil.Process(agent.process.pid), agent.worker())
            client = Client(agent.port, binary_request("cnn", small_sample()))
            keep_pace(client.ask, SETTLE_S)
            busy = _shares(processes, lambda: keep_pace(client.ask, seconds))
            client.close()
            time.sleep(SETTLE_S)
            idle = _shares(processes, lambda: [0.0] * (time.sleep(seconds) is None))
    return [("agent, 30 frames a second", *busy), ("agent, idle", *idle[:3], "")]


def _shares(processes: tuple[psutil.Process, ...], work: Callable[[], list[float]]) -> tuple[str, ...]:
    before, begun_s = [cpu_s(process) for process in processes], time.perf_counter()
    took_ms = work()
    passed_s = time.perf_counter() - begun_s
    shares = [100 * (cpu_s(process) - start) / passed_s for process, start in zip(processes, before, strict=True)]
    return (*(f"{share:.2f}" for share in shares), f"{sum(shares):.2f}", f"{np.median(took_ms):.3f}")


def main(seconds: float) -> None:
    """Print one table."""
    say_machine(f"{FRAMES_PER_S} frames a second for {seconds:g} s each; the claim: at most 5 % of a core")
    rows = [*measure_agent(seconds), measure_bare("one-thread", seconds), measure_bare("library's defaults", seconds)]
    print_rows("processor time, percent of one core", ("what", "supervisor", "worker", "sum", "p50 ms"), rows)
    defaults = f"the library's defaults in a bare loop: {rows[-1][3]}"
    print_claims([at_most("processor time at 30 frames a second", float(rows[0][3]), 5, "% of a core", defaults)])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        bare_loop(sys.argv[2], float(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 15.0)
