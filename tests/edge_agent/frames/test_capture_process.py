"""The capture process as it really runs: by itself, killed, and beside workers that are swapped, crash and hang."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from contract.application import Application, CapturePolicy, Sink, Source
from contract.manifest import TensorSpec
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.capture.store import list_samples
from edge_agent.frames import keeper as frame_keeper
from edge_agent.frames.doorbell import make_pair
from edge_agent.frames.frame_source import FrameSource
from edge_agent.frames.messages import CaptureRequest
from edge_agent.frames.process import CaptureProcess, start_capture
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceSample
from edge_agent.worker.messages import FromWorker, SourceEnded, SourceSaid, WindowStats
from edge_agent.worker_keeper import KeeperSettings, Serving, StartError, WorkerKeeper
from tests.edge_agent.sources.live_sources import SOUND
from tests.edge_agent.sources.test_microphone import stand_in
from tests.edge_agent.test_worker_keeper import serving_of
from tests.simulators.packages import make_frames, make_package

INPUTS = (TensorSpec("frame", "uint8", (-1, -1, 3)),)
PER_S = 200


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def make_images(folder: Path, count: int) -> None:
    folder.mkdir()
    frames, _ = make_frames(3, 4)
    for index in range(count):
        path = folder / f"{index:05}.png"
        if index < len(frames):
            Image.fromarray(frames[index]).save(path)
        else:
            path.hardlink_to(folder / f"{index % 3:05}.png")


def request(folder: Path, **options: object) -> CaptureRequest:
    return CaptureRequest("folder", json.dumps({"path": "images", "per_second": 1000, **options}).encode(), INPUTS, str(folder))


# By itself


@contextlib.asynccontextmanager
async def capturing(wanted: CaptureRequest) -> AsyncIterator[tuple[CaptureProcess, FrameSource, list[str]]]:
    words: list[str] = []
    process = await start_capture(wanted, words.append)
    ours, theirs = make_pair(plain=wanted.plain)
    with ours:
        process.join(ours)
    source = FrameSource(theirs.detach())
    try:
        yield process, source, words
    finally:
        source.close()
        await process.stop()


async def collect(source: FrameSource) -> list[Item]:
    return [item async for item in source.items()]


def test_a_folder_is_captured_once_and_what_happened_is_said(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 5)

    async def story() -> None:
        async with capturing(request(tmp_path, repeat=False)) as (process, source, words):
            items = await collect(source)
            assert [item.name for item in items if isinstance(item, SourceSample)] == [f"{index:05}.png" for index in range(5)]
            await until(lambda: words == ["given", "ended"])
            assert process.returncode is None, "it tells whoever comes later that this was all"
        assert process.returncode == 0

    asyncio.run(story())


def test_a_live_source_never_waits_and_what_was_too_much_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.arange(5000, dtype="<i2")  # windows of 100 samples
    stand_in(tmp_path, monkeypatch, sound.tobytes(), endless=True)
    wanted = CaptureRequest("microphone", b"{}", SOUND.inputs, str(tmp_path))

    async def story() -> None:
        async with capturing(wanted) as (_, source, words):
            await until(lambda: "given" in words)
            taken, lost = [], 0
            async for item in source.items():
                if isinstance(item, SourceSample):
                    taken.append(item.name)
                    begin = (int(item.name.rpartition(":")[2]) - 1) * 100
                    np.testing.assert_allclose(item.sample["sound"] * 32768, sound[begin : begin + 100])
                elif isinstance(item, SourceDropped):
                    lost += item.amount
                if len(taken) + lost == 50:
                    break
            assert taken[-1] == "microphone:50", "the newest are kept"

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_source_that_can_not_be_opened_says_so_to_the_worker(tmp_path: Path) -> None:
    async def story() -> None:
        async with capturing(request(tmp_path)) as (_, source, words):
            with pytest.raises(SourceError, match="is no folder"):
                await collect(source)
            await until(lambda: words == ["failed"])

    asyncio.run(story())


def test_it_ends_when_its_supervisor_is_killed_or_closes_its_stdin(tmp_path: Path) -> None:
    make_images(tmp_path / "images", 5)
    code = (
        "import asyncio, sys, msgspec\n"
        "from edge_agent.frames.messages import CaptureRequest\n"
        "from edge_agent.frames.process import start_capture\n"
        "async def main():\n"
        "    given = asyncio.Event()\n"
        "    wanted = msgspec.json.decode(sys.argv[1], type=CaptureRequest)\n"
        "    process = await start_capture(wanted, lambda word: given.set())\n"
        "    await given.wait()\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    text = msgspec.json.encode(request(tmp_path)).decode()
    supervisor = subprocess.Popen([sys.executable, "-c", code, text], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    with supervisor, supervisor.stdout:
        pid = int(supervisor.stdout.readline())
        supervisor.kill()
    asyncio.run(until(lambda: not alive(pid)))

    async def closes() -> None:
        async with capturing(request(tmp_path)) as (process, _, words):
            await until(lambda: "given" in words)
        assert process.returncode == 0

    asyncio.run(closes())


def test_a_request_that_is_none_ends_it(tmp_path: Path) -> None:
    async def story() -> None:
        wanted = CaptureRequest("folder", b"no json", INPUTS, str(tmp_path))
        process = await start_capture(wanted, lambda _: None)
        assert await process.wait() == 0

    asyncio.run(story())


def test_the_supervisors_side_imports_no_numpy() -> None:
    code = "import sys, edge_agent.worker_keeper; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


# Beside workers


class Station:
    """A keeper with an application that writes what it answered into a file."""

    def __init__(self, folder: Path, package: Package, *, plain: bool, **options: object) -> None:
        self.folder = folder
        self.package = package
        self.options = {"path": "images", "per_second": PER_S, "repeat": False, **options}
        self.heard: list[tuple[Serving, FromWorker]] = []
        self.crashes: list[str] = []
        settings = KeeperSettings("main", (), folder, plain_frames=plain)
        self.keeper = WorkerKeeper(settings, lambda serving, said: self.heard.append((serving, said)), self.crashes.append)

    def serving(self, package: Package | None = None, **changes: object) -> Serving:
        document = Application(
            1, "colours", 1, "digits", Source("folder", {**self.options, **changes}), (Sink("jsonl", {"path": "out.jsonl"}),)
        )
        return serving_of(package or self.package)._replace(application=document)

    @property
    def answered(self) -> list[str]:
        """Names of the frames that the sink has, in its order."""
        with contextlib.suppress(FileNotFoundError):
            text = (self.folder / "out.jsonl").read_text()
            return [json.loads(line)["source"] for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return []

    def missing(self) -> list[str]:
        """Frames that were given and not answered, though later ones were; none may have been given twice."""
        given, answered = itertools.cycle(sorted(path.name for path in (self.folder / "images").iterdir())), Counter(self.answered)
        expected: list[str] = []
        while answered - Counter(expected):
            expected.append(next(given))
            assert len(expected) < 2 * answered.total() + 10, "a frame was answered twice"
        return list((Counter(expected) - answered).elements())

    def said(self, kind: type[FromWorker]) -> list[FromWorker]:
        return [message for _, message in self.heard if isinstance(message, kind)]

    @property
    def dropped(self) -> int:
        return sum(stats.dropped for stats in self.said(WindowStats))  # type: ignore[attr-defined]


def beside(
    folder: Path, package: Package, story: Callable[[Station], Awaitable[None]], *, plain: bool = False, count: int = 300, **options: object
) -> Station:
    make_images(folder / "images", count)

    async def run() -> Station:
        station = Station(folder, package, plain=plain, **options)
        await station.keeper.keep_serving(station.serving())
        try:
            await story(station)
        finally:
            await station.keeper.stop()
        assert station.keeper.frames.pids == []
        return station

    return asyncio.run(run())


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    return make_package(tmp_path_factory.mktemp("other") / "package", key=key, version=2)


@pytest.mark.parametrize("plain", [False, True])
def test_swaps_lose_no_frame_and_the_source_stays_open(tmp_path: Path, package: Package, other: Package, *, plain: bool) -> None:
    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        for version in (other, package):
            await station.keeper.serve(station.serving(version))
            seen = len(station.answered)
            await until(lambda seen=seen: len(station.answered) > seen + 5)  # type: ignore[misc]
        assert station.keeper.frames.pids == [pid]

    station = beside(tmp_path, package, story, plain=plain, repeat=True)
    assert station.missing() == []
    assert station.dropped == 0
    assert not station.crashes


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_crashes_or_hangs_loses_one_frame_at_most(tmp_path: Path, package: Package, number: int) -> None:
    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        worker = station.keeper.pid
        assert worker is not None
        os.kill(worker, number)
        await until(lambda: station.keeper.pid not in {None, worker})
        assert station.keeper.frames.pids == [pid]
        seen = len(station.answered)
        await until(lambda: len(station.answered) > seen + 5)

    station = beside(tmp_path, package, story, repeat=True)
    missing = station.missing()
    assert len(missing) <= station.dropped <= 1, "counted, as is one that was answered just before its worker could not say so"


def test_a_capture_process_that_dies_is_started_again_and_that_is_said(tmp_path: Path, package: Package) -> None:
    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        os.kill(pid, signal.SIGSEGV)
        await until(lambda: station.keeper.frames.pids not in ([], [pid]))
        seen = len(station.answered)
        await until(lambda: len(station.answered) > seen + 5)
        (said,) = station.said(SourceSaid)
        assert said == SourceSaid("the capture process of the source folder was ended by signal 11; it is started again")
        assert not station.crashes, "the worker did not notice"

    beside(tmp_path, package, story, repeat=True)


def test_a_source_that_kills_its_process_before_the_first_sample_counts_as_failed(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_keeper, "RESTART_FIRST_S", 0.01)

    (tmp_path / "broken" / "PIL").mkdir(parents=True)
    (tmp_path / "broken" / "PIL" / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))

    async def story(station: Station) -> None:
        await until(lambda: bool(station.said(SourceEnded)))
        (ended,) = station.said(SourceEnded)
        assert ended.failed  # type: ignore[attr-defined]
        assert "was ended by signal 11, 3 times without a sample" in ended.detail  # type: ignore[attr-defined]
        assert len(station.said(SourceSaid)) >= 2
        assert not station.crashes

    beside(tmp_path, package, story)


@pytest.mark.once
def test_another_source_gets_a_process_of_its_own_and_the_old_one_ends(tmp_path: Path, package: Package) -> None:
    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        await station.keeper.serve(station.serving(repeat=True))
        await until(lambda: station.keeper.frames.pids not in ([], [pid]) and not alive(pid))
        assert len(station.keeper.frames.pids) == 1
        await station.keeper.serve(serving_of(package))
        await until(lambda: station.keeper.frames.pids == [])

    beside(tmp_path, package, story)


@pytest.mark.once
def test_a_candidate_that_does_not_start_leaves_the_source_as_it_is(tmp_path: Path, package: Package, key: PrivateKey) -> None:
    crashing = make_package(tmp_path / "crash", key=key, kind="crash")

    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        for changes in ({}, {"per_second": 100}):  # with the source that is open, and with one of its own
            with pytest.raises(StartError):
                await station.keeper.serve(station.serving(crashing, **changes))
        await until(lambda: station.keeper.frames.pids == [pid])
        seen = len(station.answered)
        await until(lambda: len(station.answered) > seen + 5)

    beside(tmp_path, package, story, repeat=True)


@pytest.mark.once
def test_what_came_to_its_end_begins_anew_for_another_version_only(tmp_path: Path, package: Package, other: Package) -> None:
    async def story(station: Station) -> None:
        for ends, again in enumerate((None, package, other), start=1):
            if again is not None:
                await station.keeper.serve(station.serving(again))
            await until(lambda ends=ends: len(station.said(SourceEnded)) == ends)  # type: ignore[misc]
            assert len(station.answered) == (40 if again is other else 20)

    beside(tmp_path, package, story, count=20)


@pytest.mark.once
def test_a_folder_that_was_not_there_is_looked_for_again_by_the_next_worker(tmp_path: Path, package: Package) -> None:
    async def story(station: Station) -> None:
        await until(lambda: bool(station.said(SourceEnded)))
        (ended,) = station.said(SourceEnded)
        assert ended.failed  # type: ignore[attr-defined]
        assert "is no folder" in ended.detail  # type: ignore[attr-defined]
        (tmp_path / "images").rename(tmp_path / "later")
        worker = station.keeper.pid
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        await until(lambda: len(station.answered) > 5)

    beside(tmp_path, package, story, path="later")


def test_field_samples_are_what_was_answered_though_their_slots_were_used_again(tmp_path: Path, package: Package) -> None:
    (tmp_path / "config.json").write_text('{"capture_samples": true}')
    make_images(tmp_path / "images", 60)

    async def story() -> None:
        station = Station(tmp_path, package, plain=False)
        serving = station.serving()
        assert serving.application is not None
        keeping = msgspec.structs.replace(serving.application, capture=CapturePolicy(random_share=1.0))
        await station.keeper.keep_serving(serving._replace(application=keeping))
        await until(lambda: bool(station.said(SourceEnded)))
        await station.keeper.stop()

    asyncio.run(story())
    kept = list_samples(tmp_path / "captured" / "main")
    assert len(kept) > 5
    for sample in kept:
        with Image.open(sample.path) as seen, Image.open(tmp_path / "images" / sample.line.source) as was:
            assert seen.tobytes() == was.tobytes()
