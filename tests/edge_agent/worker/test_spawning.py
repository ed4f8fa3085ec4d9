"""Workers that are begun before it is known what they shall serve."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from contract.application import Application, Sink, Source
from contract.messages import VersionRef
from contract.package import Package
from edge_agent.update.records import Installed
from edge_agent.worker.child_identity import ChildIdentity
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.preloading import Expected, environment_for, expect_of, preload
from edge_agent.worker.spawning import begin_early, start_worker
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper
from tests.edge_agent.worker.test_process import READY_S, listening_socket, post_image, request_for, until
from tests.simulators.children import children_of
from tests.simulators.packages import make_frames

EXPECTED = Expected("onnx-float32")
FRAME = make_frames(1, 0)[0][0]


def workers() -> set[int]:
    """Worker processes of this test."""
    return set(children_of(os.getpid(), "edge_agent.worker.main"))


def serving_of(package: Package) -> Serving:
    return Serving(Installed(VersionRef(package.manifest.name, package.manifest.version, package.digest), "onnx-float32"), package.folder)


def test_a_worker_that_was_begun_early_serves_on_sockets_that_are_handed_to_it(package: Package) -> None:
    async def story() -> None:
        early = await begin_early(EXPECTED)
        assert early is not None
        with listening_socket() as listening:
            worker = await start_worker(request_for(package, sockets=(listening.fileno(),)), lambda _: None, None, early)
            assert worker.pid == early.begun.process.pid
            await worker.wait_ready(READY_S)
            assert (await asyncio.to_thread(post_image, listening.getsockname()[1], FRAME))[0] == 200
            assert worker.completed == 1, "its progress is seen on the page it was begun with"
            await worker.stop()

    asyncio.run(story())


def test_a_worker_that_was_begun_early_gets_its_frames(package: Package, tmp_path: Path) -> None:
    """The doorbell of a capture process is handed over behind the sockets."""
    (tmp_path / "images").mkdir()
    Image.fromarray(FRAME).save(tmp_path / "images" / "0.png")
    source = Source("folder", {"path": "images", "per_second": 50, "repeat": True})
    application = Application(1, "frames", 1, "digits", source, (Sink("jsonl", {"path": "answers.jsonl"}),))

    async def story() -> None:
        with listening_socket() as listening:
            keeper = WorkerKeeper(KeeperSettings("main", (listening.fileno(),), tmp_path), lambda *_: None, print)
            keeper.early.begin(Expected("onnx-float32", application=True), None)
            try:
                await keeper.serve(serving_of(package)._replace(application=application))
                assert keeper.worker is not None
                assert keeper.worker.request.handed
                await until((tmp_path / "answers.jsonl").exists)
                assert (await asyncio.to_thread(post_image, listening.getsockname()[1], FRAME))[0] == 200
            finally:
                await keeper.stop()

    asyncio.run(story())


@pytest.mark.parametrize("how", ["it died", "another user is wanted"])
def test_an_early_worker_that_does_not_fit_is_ended_and_another_serves(package: Package, how: str) -> None:
    async def story() -> None:
        early = await begin_early(EXPECTED)
        assert early is not None
        if how == "it died":
            early.begun.process.kill()
            await early.begun.process.wait()
        else:
            early._identity = ChildIdentity("somebody", 12345, 12345)
        with listening_socket() as listening:
            worker = await start_worker(request_for(package, sockets=(listening.fileno(),)), lambda _: None, None, early)
            assert worker.pid != early.begun.process.pid
            assert early.begun.process.returncode == -signal.SIGKILL
            await worker.wait_ready(READY_S)
            await worker.stop()

    asyncio.run(story())


def test_an_early_worker_that_nobody_needs_leaves_nothing() -> None:
    async def story() -> None:
        descriptors = psutil.Process().num_fds()
        early = EarlyStart()
        early.begin(EXPECTED, None)
        early.begin(EXPECTED, None)
        await until(lambda: len(workers()) == 1)
        await early.close()
        assert not workers()
        assert await early.take() is None
        await until(lambda: psutil.Process().num_fds() <= descriptors)

    asyncio.run(story())


def suspecting(package: Package, story: Callable[[WorkerKeeper], Awaitable[None]]) -> list[str]:
    """Run `story` beside a keeper that convicts a worker only after a minute; returns what was told of crashes."""
    crashes: list[str] = []

    async def run() -> None:
        settings = KeeperSettings("main", (), package.folder, inference_deadline_ms=60_000)
        keeper = WorkerKeeper(settings, lambda *_: None, crashes.append)
        await keeper.serve(serving_of(package))
        try:
            await story(keeper)
        finally:
            await keeper.stop()
        assert not workers()

    asyncio.run(run())
    return crashes


def test_while_a_worker_may_hang_another_begins_and_goes_when_it_does_not(package: Package) -> None:
    async def story(keeper: WorkerKeeper) -> None:
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGSTOP)
        await until(lambda: len(workers()) == 2)
        os.kill(keeper.pid, signal.SIGCONT)
        await until(lambda: len(workers()) == 1)
        assert workers() == {keeper.pid}

    assert suspecting(package, story) == []


def test_the_worker_that_began_while_another_seemed_to_hang_takes_its_place(package: Package) -> None:
    async def story(keeper: WorkerKeeper) -> None:
        before = keeper.pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        await until(lambda: len(workers()) == 2)
        (another,) = workers() - {before}
        os.kill(before, signal.SIGKILL)
        await until(lambda: keeper.pid == another)

    (crash,) = suspecting(package, story)
    assert "signal 9" in crash


def test_what_a_pointer_names_is_expected(tmp_path: Path) -> None:
    pointer = tmp_path / "current.json"
    assert expect_of(pointer) is None
    pointer.write_text('{"model": {}, "variant": "litert-int8", "application": {"name": "watch"}}')
    assert expect_of(pointer) == Expected("litert-int8", application=True)
    pointer.write_text('{"model": {}, "var')
    assert expect_of(pointer) is None


@pytest.mark.parametrize("expected", [Expected("onnx-float32", application=True), Expected("nonsense"), Expected("")])
def test_a_wrong_expectation_harms_nobody(expected: Expected, monkeypatch: pytest.MonkeyPatch) -> None:
    (name, value), *_ = environment_for(expected).items()
    monkeypatch.setenv(name, value)
    preload()
    assert name not in os.environ
