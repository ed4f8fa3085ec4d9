"""What the endpoint costs: binary tensors through a real worker process, against the bare session in the same run.

The client is a plain socket with keep-alive, so that it is the server that is measured.
Run: `python benchmarks/endpoint_latency.py [ROUNDS]`
"""

import asyncio
import io
import json
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.small_models import SIDE, VARIANT, make_package, make_sample, make_session
from benchmarks.timing import compare, print_table
from contract.package import Package
from edge_agent.worker.messages import FromWorker, WindowStats, WorkerRequest
from edge_agent.worker.process import start_worker

if TYPE_CHECKING:
    import onnxruntime

DATATYPES = {"uint8": "UINT8", "float32": "FP32"}


class Client:
    """One keep-alive connection that sends the same bytes again and again."""

    def __init__(self, port: int, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


def measure(package: Package, port: int, rounds: int) -> None:
    """Print the table of one model; runs in a thread beside the loop that keeps the worker."""
    kind, sample = package.manifest.name, make_sample(package.manifest.name)
    session = make_session(package.variant_path(VARIANT).read_bytes())
    requests = {"endpoint, binary tensors": binary_request(kind, sample)}
    requests.update({"endpoint, JPEG": jpeg_request(sample["frame"])} if kind == "cnn" else {"endpoint, JSON": json_request(kind, sample)})
    measure_sample(
        f"{kind}, raw input {shape_words(sample)}", sample, session, {name: Client(port, data) for name, data in requests.items()}, rounds
    )
    if kind == "cnn":
        small = {"frame": np.ascontiguousarray(sample["frame"][:SIDE, :SIDE])}
        measure_sample(
            f"{kind}, raw input {shape_words(small)}",
            small,
            session,
            {"endpoint, binary tensors": Client(port, binary_request(kind, small))},
            rounds,
        )


def shape_words(sample: dict[str, np.ndarray]) -> str:
    """The shape of the one input."""
    return " x ".join(str(axis) for array in sample.values() for axis in array.shape)


def measure_sample(
    title: str, sample: dict[str, np.ndarray], session: "onnxruntime.InferenceSession", clients: dict[str, Client], rounds: int
) -> None:
    """Print one table: the bare session on this sample beside each client."""
    works: dict[str, Callable[[], object]] = {"bare session.run": lambda: session.run(None, sample)}
    works.update({name: client.ask for name, client in clients.items()})
    times = compare(works, rounds)
    for client in clients.values():
        client.close()
    print_table(title, times, "bare session.run")


def print_latency(message: FromWorker) -> None:
    """What the worker itself measured."""
    if isinstance(message, WindowStats):
        print(f"inside the worker: p50 {message.latency_us.quantile(0.5):.0f} µs (bins of 25 %) over {message.count} inferences")


async def serve_and_measure(package: Package, rounds: int) -> None:
    """Start a worker as the agent does, measure, end it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        request = WorkerRequest(str(package.folder), package.digest, VARIANT, sockets=(listening.fileno(),))
        begun = time.perf_counter()
        worker = await start_worker(request, print_latency)
        try:
            ready = await worker.wait_ready(30)
            startup_s = time.perf_counter() - begun
            print(f"\n{package.manifest.name}: ready {startup_s:.2f} s after its start, {ready.latency_us:.0f} µs per warm inference")
            await asyncio.to_thread(measure, package, listening.getsockname()[1], rounds)
        finally:
            await worker.drain(5)


def main(rounds: int) -> None:
    """Print one table per model."""
    print(f"{platform.machine()}, Python {platform.python_version()}, one worker, one thread, {rounds} rounds in turn")
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("mlp", "cnn"):
            asyncio.run(serve_and_measure(make_package(Path(folder) / kind, kind), rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
