"""Swaps of the version under load: how many frames and requests are lost and how long the longest gap between two answers is.

A client asks 100 times a second over keep-alive HTTP, another asks as fast as it can, and a local source
gives 100 numbered frames a second, while the agent's own keeper puts one version in the place of the
other again and again. Frames are counted at the sink: first alone, then under both clients.
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
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.agent_cpu import small_sample
from benchmarks.endpoint_latency import DATATYPES
from benchmarks.numbered_frames import Answers, make_frames
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


async def swap(keeper: WorkerKeeper, servings: list[Serving], swaps: int) -> None:
    """One version in the place of the other, again and again."""
    await asyncio.sleep(BETWEEN_S)
    for index in range(swaps):
        await keeper.serve(servings[(index + 1) % 2])
        await asyncio.sleep(BETWEEN_S)


class Seen(NamedTuple):
    """What a source or client went through."""

    answered: int
    lost: int
    gaps_s: np.ndarray


async def swap_under_load(home: Path, packages: list[Package], swaps: int, rates: dict[str, float]) -> dict[str, Seen]:
    """Swap beside a local source and clients that ask so many times a second (0: as fast as they can)."""
    application = make_frames(home)
    servings = [serving_of(package)._replace(application=application) for package in packages]
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.setblocking(False)
        keeper = WorkerKeeper(KeeperSettings("main", (listening.fileno(),), home), lambda *_: None, print)
        await keeper.serve(servings[0])
        clients = {name: Asker(listening.getsockname()[1], per_s) for name, per_s in rates.items()}
        for client in clients.values():
            client.start()
        await swap(keeper, servings, swaps)
        for client in clients.values():
            await asyncio.to_thread(client.end)
        await keeper.stop()
    answers, beside = Answers(home), "under HTTP load" if rates else "alone"
    found = {f"100 frames a second, {beside}": Seen(len(answers.numbers), answers.lost + answers.twice, answers.gaps_s)}
    return found | {name: Seen(len(one.answered_s), len(one.lost), np.diff(one.answered_s)) for name, one in clients.items()}


def main(swaps: int) -> None:
    """Print one table."""
    say_machine(f"{swaps} swaps each; the claim: no frame and no request lost, gap at most 50 ms")
    rates = {"100 requests a second": float(FRAMES_PER_S), "requests as fast as they can": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        packages = [make_package(Path(folder) / name, "cnn") for name in ("a", "b")]
        found = asyncio.run(swap_under_load(Path(folder) / "alone", packages, swaps, {}))
        found |= asyncio.run(swap_under_load(Path(folder) / "load", packages, swaps, rates))
    rows = [
        (name, str(seen.answered), str(seen.lost), f"{1000 * np.quantile(seen.gaps_s, 0.99):.1f}", f"{1000 * seen.gaps_s.max():.1f}")
        for name, seen in found.items()
    ]
    print_rows("hot swap", ("source or client", "answered", "lost", "99 % of gaps below, ms", "longest gap, ms"), rows)
    claims = []
    for name, seen in found.items():
        claims.append(at_most(f"hot swap, {name}: lost", seen.lost, 0, "lost"))
        claims.append(at_most(f"hot swap, {name}: longest gap", 1000 * float(seen.gaps_s.max()), 50, "ms"))
    print_claims(claims)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
