"""Swaps of the version under load: how many requests are lost and how long the longest gap between two answers is.

A client asks 100 times a second over keep-alive HTTP, another asks as fast as it can, while the agent's
own keeper puts one version in the place of the other again and again.
Run: `python benchmarks/agent_hot_swap.py [SWAPS]`
"""

import asyncio
import http.client
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.agent_cpu import small_sample
from benchmarks.endpoint_latency import DATATYPES
from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.small_models import VARIANT, make_package
from contract.messages import VersionRef
from contract.package import Package
from edge_agent.update.records import Installed
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper

FRAMES_PER_S = 100
BETWEEN_S = 1.0


class Asker(threading.Thread):
    """Asks at a pace (0: as fast as it can); obeys `Connection: close` as any HTTP client does."""

    def __init__(self, port: int, per_s: float) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._per_s = per_s
        self._body, self._headers = _request()
        self.answered_s: list[float] = []
        self.lost: list[str] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        due_s = time.perf_counter()
        while not self._ended.is_set():
            if self._per_s:
                due_s = max(due_s + 1 / self._per_s, time.perf_counter())
                time.sleep(max(0.0, due_s - time.perf_counter()))
            self._ask()
        self._connection.close()

    def _ask(self) -> None:
        try:
            self._connection.request("POST", "/v2/models/cnn/infer", self._body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.lost.append(repr(error))
            self._connection.close()
            return
        if answer.status == http.HTTPStatus.OK:
            self.answered_s.append(time.perf_counter())
        else:
            self.lost.append(str(answer.status))

    def end(self) -> None:
        """Stop asking."""
        self._ended.set()
        self.join()


def _request() -> tuple[bytes, dict[str, str]]:
    (name, frame), *_ = small_sample().items()
    tensor = {
        "name": name,
        "shape": list(frame.shape),
        "datatype": DATATYPES[frame.dtype.name],
        "parameters": {"binary_data_size": frame.nbytes},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return head + frame.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def serving_of(package: Package) -> Serving:
    """The package as the keeper takes it."""
    manifest = package.manifest
    return Serving(Installed(VersionRef(manifest.name, manifest.version, package.digest), VARIANT), package.folder)


async def swap_under_load(packages: list[Package], swaps: int) -> dict[str, tuple[Asker, list[float]]]:
    """Swap and measure; of each client also the longest gaps around every swap, in seconds."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.setblocking(False)
        keeper = WorkerKeeper(KeeperSettings("main", (listening.fileno(),), packages[0].folder), lambda *_: None, print)
        await keeper.serve(serving_of(packages[0]))
        clients = {
            "100 a second": Asker(listening.getsockname()[1], FRAMES_PER_S),
            "as fast as it can": Asker(listening.getsockname()[1], 0),
        }
        for client in clients.values():
            client.start()
        await asyncio.sleep(BETWEEN_S)
        for index in range(swaps):
            await keeper.serve(serving_of(packages[(index + 1) % 2]))
            await asyncio.sleep(BETWEEN_S)
        for client in clients.values():
            await asyncio.to_thread(client.end)
        await keeper.stop()
    return {name: (client, np.diff(client.answered_s).tolist()) for name, client in clients.items()}


def main(swaps: int) -> None:
    """Print one table."""
    say_machine(f"{swaps} swaps, two clients at once; the claim: nothing lost, gap at most 50 ms")
    with tempfile.TemporaryDirectory() as folder:
        packages = [make_package(Path(folder) / name, "cnn") for name in ("a", "b")]
        found = asyncio.run(swap_under_load(packages, swaps))
    rows = [
        (name, str(len(client.answered_s)), str(len(client.lost)), f"{1000 * np.quantile(gaps, 0.99):.1f}", f"{1000 * max(gaps):.1f}")
        for name, (client, gaps) in found.items()
    ]
    print_rows("hot swap under load", ("client", "answered", "lost", "99 % of gaps below, ms", "longest gap, ms"), rows)
    claims = []
    for name, (client, gaps) in found.items():
        claims.append(at_most(f"hot swap, {name}: requests lost", len(client.lost), 0, "lost"))
        claims.append(at_most(f"hot swap, {name}: longest gap", 1000 * max(gaps), 50, "ms"))
    print_claims(claims)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
