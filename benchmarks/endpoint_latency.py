"""What the endpoint costs: binary tensors through a real worker process, against the bare session in the same run.

The client is a plain socket with keep-alive, so that it is the server that is measured; what an unmodified
`tritonclient` takes is printed beside it. An echo program that takes and gives the same bytes shows what of
it all is the machine's. Where two processes run decides much, so everything is measured with all of them on
one core, with the client on another than the rest, and as the system places them.
Run: `python benchmarks/endpoint_latency.py [ROUNDS]`
"""

import asyncio
import contextlib
import io
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.compared_servers.echo_program import running_echo
from benchmarks.report import Claim, at_most, print_claims, print_rows, say_machine
from benchmarks.small_models import SIDE, VARIANT, make_package, make_sample, make_session
from benchmarks.timing import BLOCK, compare_blocks
from contract.package import Package
from edge_agent.worker.messages import FromWorker, WindowStats, WorkerRequest
from edge_agent.worker.spawning import start_worker

DATATYPES = {"uint8": "UINT8", "float32": "FP32"}
BARE, ECHO, BINARY_ROW, JSON_ROW = "bare session.run", "echo of the same bytes", "endpoint, binary tensors", "endpoint, JSON"
UNIX_ROW = "the same over its Unix socket"
ONE_CORE, TWO_CORES, AS_PLACED = "one core", "two cores", "as placed"
Times = dict[str, dict[str, np.ndarray]]
"""Microseconds by placement and work."""


class Client:
    """One keep-alive connection that sends the same bytes again and again."""

    def __init__(self, address: int | Path, request: bytes) -> None:
        """`address`: a port of loopback, or the path of a Unix socket."""
        if isinstance(address, int):
            self._socket = socket.create_connection(("127.0.0.1", address))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(str(address))
        self._request = request
        self._buffer = bytearray(1 << 16)

    def ask(self) -> bytes:
        """Send and wait for the whole answer."""
        self._socket.sendall(self._request)
        received = self._socket.recv_into(self._buffer)
        head, _, body = bytes(self._buffer[:received]).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[-1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(1 << 16)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body)
        return body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def http_request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A whole request as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body))}.items())
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode() + body


def binary_request(model: str, sample: dict[str, np.ndarray]) -> bytes:
    """An inference request with binary tensors in and out."""
    inputs = [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": DATATYPES[array.dtype.name],
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in sample.items()
    ]
    head = json.dumps({"inputs": inputs, "outputs": [{"name": "scores", "parameters": {"binary_data": True}}]}).encode()
    body = head + b"".join(array.tobytes() for array in sample.values())
    return http_request(f"/v2/models/{model}/infer", body, {"Inference-Header-Content-Length": str(len(head))})


def json_request(model: str, sample: dict[str, np.ndarray]) -> bytes:
    """The same in JSON."""
    inputs = [
        {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name], "data": array.reshape(-1).tolist()}
        for name, array in sample.items()
    ]
    return http_request(f"/v2/models/{model}/infer", json.dumps({"inputs": inputs}).encode(), {"Content-Type": "application/json"})


def jpeg_request(frame: np.ndarray) -> bytes:
    """The frame as a JPEG."""
    from PIL import Image

    body = io.BytesIO()
    Image.fromarray(frame).save(body, "JPEG", quality=85)
    return http_request("/predict", body.getvalue(), {"Content-Type": "image/jpeg"})


def placements() -> dict[str, tuple[set[int], set[int]]]:
    """Cores of the client and of the servers, by words; only the system's choice where there are none to choose from."""
    if not hasattr(os, "sched_setaffinity"):
        return {AS_PLACED: (set(), set())}
    cores = sorted(os.sched_getaffinity(0))
    return {ONE_CORE: ({cores[0]}, {cores[0]}), TWO_CORES: ({cores[0]}, {cores[-1]}), AS_PLACED: (set(cores), set(cores))}


class Bench(NamedTuple):
    """A started worker, and how long everything is asked."""

    package: Package
    port: int
    pid: int
    rounds: int
    path: Path | None = None  # of the Unix socket, where there are such


def measure(bench: Bench) -> dict[str, Times]:
    """Print the tables of one model; runs in a thread beside the loop that keeps the worker. Returns the times by input."""
    kind, sample = bench.package.manifest.name, make_sample(bench.package.manifest.name)
    if kind != "cnn":
        return {kind: measure_sample(bench, f"{kind}, {shape_words(sample)}", sample, {JSON_ROW: json_request(kind, sample)})}
    small = {"frame": np.ascontiguousarray(sample["frame"][:SIDE, :SIDE])}
    return {
        "frame": measure_sample(bench, f"cnn, {shape_words(sample)}", sample, {"endpoint, JPEG": jpeg_request(sample["frame"])}),
        kind: measure_sample(bench, f"cnn, {shape_words(small)}", small, {}),
    }


def shape_words(sample: dict[str, np.ndarray]) -> str:
    """The shape of the one input."""
    return " x ".join(str(axis) for array in sample.values() for axis in array.shape)


def measure_sample(bench: Bench, title: str, sample: dict[str, np.ndarray], more: dict[str, bytes]) -> Times:
    """Print one table: the bare session and an echo beside the endpoint, in each placement."""
    session = make_session(bench.package.variant_path(VARIANT).read_bytes())
    kind = bench.package.manifest.name
    request = binary_request(kind, sample)
    requests = {BINARY_ROW: request, **more}
    with contextlib.ExitStack() as stack:
        clients = {name: stack.enter_context(contextlib.closing(Client(bench.port, data))) for name, data in requests.items()}
        echo = stack.enter_context(running_echo(len(request), len(clients[BINARY_ROW].ask())))
        echo_client = stack.enter_context(contextlib.closing(Client(echo.port, request)))
        works: dict[str, Callable[[], object]] = {BARE: lambda: session.run(None, sample), ECHO: echo_client.ask}
        if bench.path is not None:
            clients[UNIX_ROW] = stack.enter_context(contextlib.closing(Client(bench.path, request)))
        works.update({name: client.ask for name, client in clients.items()})
        works.update(triton_works(stack, bench.port, kind, sample))
        times = {}
        for words, (client_cores, server_cores) in placements().items():
            place(client_cores, server_cores, (bench.pid, echo.pid))
            times[words] = compare_blocks(works, bench.rounds)
    print_placements(title, times)
    return times


def place(client_cores: set[int], server_cores: set[int], servers: tuple[int, ...]) -> None:
    """Keep this thread and the servers' processes on these cores."""
    if client_cores:
        os.sched_setaffinity(0, client_cores)
        for pid in servers:
            os.sched_setaffinity(pid, server_cores)


def triton_works(stack: contextlib.ExitStack, port: int, model: str, sample: dict[str, np.ndarray]) -> dict[str, Callable[[], object]]:
    """The same request by `tritonclient[http]`, where it is installed."""
    try:
        import tritonclient.http as triton
    except ImportError:
        return {}
    client = stack.enter_context(contextlib.closing(triton.InferenceServerClient(f"127.0.0.1:{port}")))
    inputs = []
    for name, array in sample.items():
        inputs.append(triton.InferInput(name, list(array.shape), DATATYPES[array.dtype.name]))
        inputs[-1].set_data_from_numpy(array)
    outputs = [triton.InferRequestedOutput("scores")]
    return {"endpoint, by tritonclient": lambda: client.infer(model, inputs, outputs=outputs).as_numpy("scores")}


def print_placements(title: str, times: Times) -> None:
    """One line per work, three columns per placement: tenth percentile, median, and the ratio of the medians to the bare session."""
    head = ["µs: p10, p50, ratio of p50"]
    rows = [[name] for name in next(iter(times.values()))]
    for words, found in times.items():
        head += [words, "p50", "ratio"]
        for row in rows:
            values = found[row[0]]
            row += [f"{np.percentile(values, 10):,.0f}", f"{np.median(values):,.0f}", f"{np.median(values) / np.median(found[BARE]):.2f}"]
    print_rows(title, head, rows)
    for words, found in times.items():
        bare, echo, endpoint = (float(np.median(found[name])) for name in (BARE, ECHO, BINARY_ROW))
        rest = endpoint - bare - echo
        print(f"{words}: of {endpoint:.0f} µs the model takes {bare:.0f}, a plain echo {echo:.0f}, so {rest:.0f} are the agent's")


def judge(mlp: Times, cnn: Times) -> list[Claim]:
    """The claims, as the system placed the processes; what pinned ones had is said beside."""
    micros = {words: float(np.median(found[BINARY_ROW])) for words, found in mlp.items()}
    local = [float(np.median(found[UNIX_ROW])) for words, found in mlp.items() if words == AS_PLACED and UNIX_ROW in found]
    ratios = {words: float(np.median(found[BINARY_ROW]) / np.median(found[BARE])) for words, found in cnn.items()}
    beside = [", ".join(f"{words}: {value:.3g}" for words, value in found.items() if words != AS_PLACED) for found in (micros, ratios)]
    return [
        at_most("endpoint p50, binary tensors, mlp, over TCP", micros[AS_PLACED], 70, "µs", beside[0]),
        *(at_most("endpoint p50, binary tensors, mlp, over its Unix socket", value, 70, "µs") for value in local),
        at_most(f"endpoint p50, binary tensors, cnn at {SIDE} x {SIDE}, to the bare loop", ratios[AS_PLACED], 1.4, "×", beside[1]),
    ]


def print_latency(message: FromWorker) -> None:
    """What the worker itself measured."""
    if isinstance(message, WindowStats):
        print(f"inside the worker: p50 {message.latency_us.quantile(0.5):.0f} µs (bins of 25 %) over {message.count} inferences")


async def serve_and_measure(package: Package, rounds: int) -> dict[str, Times]:
    """Start a worker as the agent does, measure, end it."""
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0)))]
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "endpoint" if hasattr(socket, "AF_UNIX") else None
        if path is not None:
            listening.append(stack.enter_context(socket.create_server(str(path), family=socket.AF_UNIX)))
        for one in listening:
            one.setblocking(False)
        request = WorkerRequest(str(package.folder), package.digest, VARIANT, sockets=tuple(one.fileno() for one in listening))
        begun = time.perf_counter()
        worker = await start_worker(request, print_latency)
        try:
            ready = await worker.wait_ready(30)
            startup_s = time.perf_counter() - begun
            print(f"\n{package.manifest.name}: ready {startup_s:.2f} s after its start, {ready.latency_us:.0f} µs per warm inference")
            bench = Bench(package, listening[0].getsockname()[1], worker.pid, rounds, path)
            return await asyncio.to_thread(measure, bench)
        finally:
            await worker.drain(5)


def main(rounds: int) -> None:
    """Print one table per model and input, and the claims."""
    say_machine(f"one worker, one thread, {rounds} rounds of {BLOCK} in turn")
    found: dict[str, Times] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mlp", "cnn"):
            found.update(asyncio.run(serve_and_measure(make_package(Path(folder) / kind, kind), rounds)))
    print_claims(judge(found["mlp"], found["cnn"]))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
