"""Memory of a running agent: the sum of the proportional shares (PSS) of supervisor and worker, after some inferences.

The same network as ONNX (ONNX Runtime) and as LiteRT, each in an agent of its own.
Run: `python benchmarks/agent_memory.py`
"""

import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.endpoint_latency import Client, binary_request
from benchmarks.litert_cnn import LITERT, make_litert_package
from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.running_agent import prepare_home, running_agent
from benchmarks.small_models import VARIANT, make_package, make_sample

INFERENCES = 300
SETTLE_S = 2.0
LIMITS_MB = {"ONNX Runtime": 100, "LiteRT": 78}


def pss_mb(process: psutil.Process) -> float:
    """Proportional share of a process in MB (10^6 bytes), in which a page that n processes share counts as 1/n."""
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError("this kernel does not tell the PSS")
    return int(found.group(1)) * 1024 / 1e6


def measure(folder: Path, runtime: str) -> tuple[float, float, float]:
    """PSS of supervisor and worker, and what both have resident (RSS), in MB."""
    litert = runtime == "LiteRT"
    package = make_litert_package(folder / "package") if litert else make_package(folder / "package", "cnn")
    home = prepare_home(folder / "home", package, LITERT if litert else VARIANT)
    sample = make_sample("cnn")
    with running_agent(home) as agent:
        worker = agent.worker()
        client = Client(agent.port, binary_request(package.manifest.name, sample))
        for _ in range(INFERENCES):
            client.ask()
        client.close()
        time.sleep(SETTLE_S)
        supervisor = psutil.Process(agent.process.pid)
        resident = (supervisor.memory_info().rss + worker.memory_info().rss) / 1e6
        return pss_mb(supervisor), pss_mb(worker), resident


def main() -> None:
    """Print one table."""
    say_machine(f"a CNN at 96 x 96, {INFERENCES} frames of 640 x 480 over HTTP before the measurement")
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        for runtime, limit in LIMITS_MB.items():
            supervisor, worker, resident = measure(Path(folder) / runtime.replace(" ", "-"), runtime)
            rows.append(
                (runtime, f"{supervisor:.1f}", f"{worker:.1f}", f"{supervisor + worker:.1f}", f"{resident:.1f}", f"at most {limit}")
            )
            claims.append(at_most(f"memory of the agent with a CNN (PSS), {runtime}", supervisor + worker, limit, "MB"))
    print_rows("memory of the agent, PSS in MB", ("runtime", "supervisor", "worker", "sum of PSS", "sum of RSS", "claim (PSS)"), rows)
    print_claims(claims)


if __name__ == "__main__":
    main()
