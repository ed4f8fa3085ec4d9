"""The endpoint of a real engine in a thread, for clients that block."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from contract.manifest import Manifest
from contract.package import Package
from edge_agent.engine.engine import Engine, open_engine
from edge_agent.serving.listeners import open_listeners
from edge_agent.serving.patience import Patience
from edge_agent.serving.service import Service
from edge_agent.worker.inference import Inference
from edge_agent.worker.messages import Access
from edge_agent.worker.windows import WindowRecorder

VARIANT = "onnx-float32"
FAST_US, SLOW_US = 100.0, 1e6


@contextlib.contextmanager
def serving(
    package: Package,
    *,
    latency_us: float = FAST_US,
    queue_length: int = 32,
    max_body_bytes: int = 8 << 20,
    deadline_s: float = 30.0,
    listening: socket.socket | None = None,
    access: Access | None = None,
    patience: Patience | None = None,
    manifest: Manifest | None = None,
    open_it: Callable[[], Engine] | None = None,
) -> Iterator[int]:
    """Serve on a free port of loopback (or on `listening`); yields the port. `open_it` with `manifest` for another model."""
    loop = asyncio.new_event_loop()
    listening = listening or socket.create_server(("127.0.0.1", 0))
    port = 0 if listening.family == socket.AF_UNIX else int(listening.getsockname()[1])
    manifest = manifest or package.manifest
    started = threading.Event()
    ended = asyncio.Event()

    async def run() -> None:
        engine = open_it() if open_it else open_engine(package, VARIANT)
        recorder = WindowRecorder(manifest.labels, None, loop.time())
        inference = Inference(engine, recorder, latency_us=latency_us, queue_length=queue_length)
        service = Service(inference, manifest, VARIANT, max_body_bytes, deadline_s)
        listeners = await open_listeners([listening], service, access, patience)
        started.set()
        await ended.wait()
        listeners.close()
        await asyncio.sleep(0.02)
        inference.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="serving", daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
