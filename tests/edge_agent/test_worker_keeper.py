"""A real worker that is killed, stopped or dies at once: how soon another serves, and how the waits grow."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from contract.messages import VersionRef
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent import worker_keeper
from edge_agent.update.records import Installed
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper
from tests.edge_agent.worker.test_process import post_image
from tests.simulators.packages import make_frames, make_package

FRAME = make_frames(1, 0)[0][0]
AGAIN_S = 10.0
"""Far above what it takes (0.2 s and 0.4 s undisturbed), since tests share their machine; below the 12 s of a ping's timeout."""


def serving_of(package: Package, variant: str = "onnx-float32") -> Serving:
    return Serving(Installed(VersionRef(package.manifest.name, package.manifest.version, package.digest), variant), package.folder)


def kept(package: Package, story: Callable[[WorkerKeeper, int, list[str]], Awaitable[None]]) -> list[str]:
    """Run `story(keeper, port, crashes)` beside a keeper that serves `package`; returns what was told of crashes."""
    crashes: list[str] = []

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            keeper = WorkerKeeper(KeeperSettings("main", (listening.fileno(),), package.folder), lambda *_: None, crashes.append)
            await keeper.keep_serving(serving_of(package))
            try:
                await story(keeper, listening.getsockname()[1], crashes)
            finally:
                await keeper.stop()

    asyncio.run(run())
    return crashes


async def replaced(keeper: WorkerKeeper, pid: int) -> None:
    deadline = time.monotonic() + 30
    while keeper.pid in {None, pid}:
        assert time.monotonic() < deadline, "no other worker came"
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "ended with signal 9"), (signal.SIGSTOP, "stood still")])
def test_a_worker_that_crashes_or_hangs_is_replaced_at_once(package: Package, number: int, words: str) -> None:
    async def story(keeper: WorkerKeeper, port: int, crashes: list[str]) -> None:
        assert (await asyncio.to_thread(post_image, port, FRAME))[0] == 200
        pid = keeper.pid
        assert pid is not None
        begun = time.monotonic()
        os.kill(pid, number)
        await replaced(keeper, pid)
        assert (await asyncio.to_thread(post_image, port, FRAME))[0] == 200
        assert time.monotonic() - begun < AGAIN_S
        assert keeper.completed == 2, "what workers before did stays counted"

    (crash,) = kept(package, story)
    assert words in crash


def test_an_idle_worker_is_asked_ever_less_often(package: Package) -> None:
    async def story(keeper: WorkerKeeper, port: int, crashes: list[str]) -> None:
        worker = keeper._worker
        assert worker is not None
        questions: list[float] = []
        send = worker._send
        worker._send = lambda message: (questions.append(time.monotonic()), send(message))[1]  # type: ignore[method-assign]
        await asyncio.sleep(1.2)  # what is asked in this time is what is tested
        assert 1 <= len(questions) <= 8
        assert not crashes

    kept(package, story)


def test_a_version_that_can_not_live_is_tried_again_after_growing_waits(
    tmp_path: Path, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing, waits = make_package(tmp_path / "crash", key=key, kind="crash"), []

    async def note(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(worker_keeper.asyncio, "sleep", note)

    async def run() -> list[str]:
        crashes: list[str] = []
        keeper = WorkerKeeper(KeeperSettings("main", (), tmp_path), lambda *_: None, crashes.append)
        await keeper.keep_serving(serving_of(crashing))
        assert keeper._guard is not None
        await asyncio.wait([keeper._guard], timeout=20)
        return crashes

    crashes = asyncio.run(run())
    assert waits == [0.5, 1.0, 2.0]
    assert all("SIGFPE" in crash for crash in crashes)


def test_one_guard_looks_after_a_slot_though_a_start_fails(tmp_path: Path, package: Package, key: PrivateKey) -> None:
    crashing = make_package(tmp_path / "crash", key=key, kind="crash")

    async def story(keeper: WorkerKeeper, _port: int, crashes: list[str]) -> None:
        await keeper.keep_serving(serving_of(crashing))
        await asyncio.sleep(0)
        (guard,) = (task for task in asyncio.all_tasks() if task.get_name() == "guard-main" and not task.done())
        assert guard is keeper._guard
        os.kill(keeper.pid or 0, signal.SIGKILL)  # the worker before, which still answers
        deadline = time.monotonic() + 30
        while len(crashes) < 3:
            assert time.monotonic() < deadline, "it is not tried again"
            await asyncio.sleep(0.005)
        assert keeper.serving == serving_of(crashing)
        assert all("does not start" in crash for crash in crashes), "nobody puts the version before in its place"

    kept(package, story)
