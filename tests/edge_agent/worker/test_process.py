import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from contract.application import Application, Rule, Sink, Source
from contract.package import Package
from contract.signing import PrivateKey
from contract.states import FailureReason
from edge_agent.worker.messages import FromWorker, RuleFired, SourceEnded, WindowStats, WorkerRequest
from edge_agent.worker.process import WorkerError, WorkerProcess
from edge_agent.worker.spawning import start_worker
from tests.simulators.children import is_alive
from tests.simulators.packages import make_frames, make_package

READY_S = 20.0


def listening_socket() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return listening


def request_for(package: Package, **changes: object) -> WorkerRequest:
    fields: dict[str, object] = {
        "package_folder": str(package.folder),
        "digest": package.digest,
        "variant": "onnx-float32",
        "window_s": 0.2,
    }
    return WorkerRequest(**{**fields, **changes})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(request: WorkerRequest, messages: list[FromWorker] | None = None) -> AsyncIterator[WorkerProcess]:
    worker = await start_worker(request, (messages if messages is not None else []).append)
    try:
        await worker.wait_ready(READY_S)
        yield worker
    finally:
        worker.kill()
        await worker.wait()


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def png(frame: np.ndarray) -> bytes:
    body = BytesIO()
    Image.fromarray(frame).save(body, "PNG")
    return body.getvalue()


def ask(connection: http.client.HTTPConnection, frame: np.ndarray) -> tuple[int, dict]:
    connection.request("POST", "/predict", png(frame), {"Content-Type": "image/png"})
    with connection.getresponse() as answer:
        return answer.status, json.loads(answer.read())


def post_image(port: int, frame: np.ndarray) -> tuple[int, dict]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        return ask(connection, frame)


def test_a_worker_serves_on_the_socket_it_was_handed(package: Package) -> None:
    async def story() -> None:
        messages: list[FromWorker] = []
        with listening_socket() as listening:
            async with running(request_for(package, sockets=(listening.fileno(),)), messages) as worker:
                port = listening.getsockname()[1]
                frames, labels = make_frames(3, 4)
                for frame, label in zip(frames, labels, strict=True):
                    state, answer = await asyncio.to_thread(post_image, port, frame)
                    assert (state, answer["index"], answer["model_version"]) == (200, label, "1")
                assert (await worker.ping(5)).completed == 3
                probed = await worker.probe(5)
                assert probed.passed
                assert probed.max_difference <= 1e-4
                worker.flush()
                await until(lambda: any(isinstance(message, WindowStats) for message in messages))
                await worker.drain(5)
                assert worker.returncode == 0
        windows = [message for message in messages if isinstance(message, WindowStats)]
        assert sum(window.count for window in windows) == 3
        assert windows[0].latency_us.count == windows[0].confidence.count == windows[0].count
        assert windows[0].drift is not None

    asyncio.run(story())


def test_an_application_replays_a_folder_into_json_lines_and_fires_its_rule(package: Package, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    frames, _ = make_frames(4, 6)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "images" / f"{index}.png")
    (tmp_path / "images" / "5.png").write_bytes(b"no image")
    application = Application(
        1,
        "colours",
        1,
        "digits",
        Source("folder", {"path": "images", "per_second": 200, "repeat": False}),
        (Sink("jsonl", {"path": "out/predictions.jsonl"}),),
        rules=(Rule(label="red", minimum_score=0.5, count=2, within_s=30),),
    )

    async def story() -> list[FromWorker]:
        messages: list[FromWorker] = []
        async with running(request_for(package, application=application, data_folder=str(tmp_path)), messages) as worker:
            await until(lambda: any(isinstance(message, SourceEnded) for message in messages))
            await worker.drain(5)
        return messages

    messages = asyncio.run(story())
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line["label"] for line in lines] == ["red", "green", "blue", "red"]
    assert lines[0]["source"] == "0.png"
    assert lines[0]["application"] == "colours"
    assert [message.data["label"] for message in messages if isinstance(message, RuleFired)] == ["red"]
    assert sum(message.dropped for message in messages if isinstance(message, WindowStats)) == 1
    assert not [message for message in messages if isinstance(message, SourceEnded) and message.failed]


@pytest.mark.parametrize(("model", "words"), [("digits", "camera"), ("letters", "is for the model letters, this slot runs digits")])
def test_an_application_that_can_not_run_leaves_the_endpoint_serving(package: Package, tmp_path: Path, model: str, words: str) -> None:
    application = Application(1, "colours", 1, model, Source("camera"), ())

    async def story() -> None:
        messages: list[FromWorker] = []
        with listening_socket() as listening:
            request = request_for(package, application=application, data_folder=str(tmp_path), sockets=(listening.fileno(),))
            async with running(request, messages):
                await until(lambda: any(isinstance(message, SourceEnded) for message in messages))
                (ended,) = (message for message in messages if isinstance(message, SourceEnded))
                assert ended.failed
                assert words in ended.detail
                assert (await asyncio.to_thread(post_image, listening.getsockname()[1], make_frames(1, 1)[0][0]))[0] == 200

    asyncio.run(story())


def test_a_swap_under_load_loses_no_request(package: Package) -> None:
    frame = make_frames(1, 1)[0][0]
    stop = threading.Event()
    states: list[int] = []

    def load(port: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            while not stop.is_set():
                states.append(ask(connection, frame)[0])

    async def story() -> None:
        with listening_socket() as listening:
            request = request_for(package, sockets=(listening.fileno(),), drain_s=0.5)
            async with running(request) as old:
                client = asyncio.create_task(asyncio.to_thread(load, listening.getsockname()[1]))
                await until(lambda: len(states) > 50)
                async with running(request) as new:
                    await old.drain(5)
                    assert old.returncode == 0
                    answered = len(states)
                    await until(lambda: len(states) > answered + 50)
                    stop.set()
                    await client
                    assert (await new.ping(5)).completed > 50

    asyncio.run(story())
    assert set(states) == {200}


def test_a_hang_is_found_by_a_ping_and_a_crash_is_told_by_its_signal(package: Package) -> None:
    async def story() -> None:
        async with running(request_for(package)) as worker:
            os.kill(worker.pid, signal.SIGSTOP)
            with pytest.raises(WorkerError, match=r"no answer within 0\.2 s"):
                await worker.ping(0.2)
            os.kill(worker.pid, signal.SIGCONT)
            os.kill(worker.pid, signal.SIGSEGV)
            assert await worker.wait() == -signal.SIGSEGV
            with pytest.raises(WorkerError, match="ended by SIGSEGV"):
                await worker.ping(1)

    asyncio.run(story())


def test_a_model_that_kills_its_process_kills_only_the_worker(tmp_path: Path, key: PrivateKey) -> None:
    crashing = make_package(tmp_path / "crash", key=key, kind="crash")

    async def story() -> None:
        worker = await start_worker(request_for(crashing), lambda _: None)
        with pytest.raises(WorkerError, match="ended by SIGFPE"):
            await worker.wait_ready(READY_S)
        await worker.wait()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"variant": "onnx-int8"}, FailureReason.INCOMPATIBLE, "onnx-int8"),
        ({"digest": "0" * 64}, FailureReason.NOT_TRUSTED, "expected 0000"),
    ],
)
def test_a_worker_that_can_not_work_says_why(package: Package, changes: dict[str, object], reason: FailureReason, words: str) -> None:
    async def story() -> None:
        worker = await start_worker(request_for(package, **changes), lambda _: None)
        with pytest.raises(WorkerError, match=words) as refused:
            await worker.wait_ready(READY_S)
        assert refused.value.failed is not None
        assert refused.value.failed.reason == reason
        assert await worker.wait() == 1

    asyncio.run(story())


def test_the_worker_ends_when_its_supervisor_is_killed(package: Package) -> None:
    code = (
        "import asyncio, sys, msgspec, time\n"
        "from edge_agent.worker.messages import WorkerRequest\n"
        "from edge_agent.worker.spawning import start_worker\n"
        "async def main():\n"
        "    worker = await start_worker(msgspec.json.decode(sys.argv[1], type=WorkerRequest), lambda m: None)\n"
        "    await worker.wait_ready(20)\n"
        "    print(worker.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code, msgspec.json.encode(request_for(package)).decode()], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    with supervisor, supervisor.stdout:
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, "the worker outlived its supervisor"
        time.sleep(0.01)


def test_the_supervisors_side_imports_no_numpy() -> None:
    code = "import sys, edge_agent.worker.process, edge_agent.worker.self_testing; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
