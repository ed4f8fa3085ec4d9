"""From the start of the agent's process to its first prediction over HTTP, beside the least that any program needs.

The least: one Python process that imports the runtime, loads the same file and answers once, in turn with
the agent. The agent starts two processes, checks the version and warms the model up before it answers.
Run: `python benchmarks/agent_start.py [TIMES]`
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.endpoint_latency import Client, binary_request
from benchmarks.litert_cnn import LITERT, make_litert_package
from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.running_agent import prepare_home, running_agent
from benchmarks.small_models import VARIANT, make_package, make_sample
from contract.package import Package

BARE = {
    "ONNX Runtime": (
        "import sys, numpy, onnxruntime; session = onnxruntime.InferenceSession(sys.argv[1]); "
        "session.run(None, {'frame': numpy.zeros((480, 640, 3), 'uint8')})"
    ),
    "LiteRT": (
        "import sys, numpy; from ai_edge_litert.interpreter import Interpreter; model = Interpreter(sys.argv[1]); "
        "model.allocate_tensors(); model.set_tensor(model.get_input_details()[0]['index'], numpy.zeros((1, 96, 96, 3), 'uint8')); "
        "model.invoke()"
    ),
}


def bare_start_s(runtime: str, model: Path) -> float:
    """Seconds that a process takes to answer once with nothing but the runtime."""
    begun_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE[runtime], str(model)], check=True, capture_output=True)
    return time.perf_counter() - begun_s


def measure(folder: Path, package: Package, variant: str, runtime: str, times: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each start of the agent, and of the bare runtime."""
    bare = []
    home, request, found = prepare_home(folder, package, variant), binary_request("cnn", make_sample("cnn")), []
    for _ in range(times):
        with running_agent(home) as agent:
            client = Client(agent.port, request)
            client.ask()
            found.append(time.perf_counter() - agent.begun_s)
            client.close()
        bare.append(bare_start_s(runtime, package.variant_path(variant)))
    return np.array(found), np.array(bare)


def main(times: int) -> None:
    """Print one table."""
    say_machine(f"a CNN at 96 x 96, {times} starts each; the claim: at most 0.6 s")
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        packages = {
            "ONNX Runtime": (make_package(folder / "onnx", "cnn"), VARIANT),
            "LiteRT": (make_litert_package(folder / "lite"), LITERT),
        }
        for runtime, (package, variant) in packages.items():
            for name, seconds in zip(
                ("agent", "bare runtime"), both := measure(folder / variant, package, variant, runtime, times), strict=True
            ):
                if name == "agent":
                    note = f"least: {seconds.min():.3g}"
                    claims.append(at_most(f"start to first prediction, {runtime}", float(np.median(seconds)), 0.6, "s", note))
                ratio = np.median(seconds) / np.median(both[1])
                rows.append((runtime, name, f"{ratio:.2f}", f"{seconds.min():.2f}", f"{np.median(seconds):.2f}", f"{seconds.max():.2f}"))
    print_rows("start to first prediction, seconds", ("runtime", "what", "ratio", "least", "median", "longest"), rows)
    print_claims(claims)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
