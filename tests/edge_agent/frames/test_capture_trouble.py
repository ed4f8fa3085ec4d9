"""Who is replaced: a capture process that hangs, or whose device gives nothing any more; and who is not."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from contract.messages import VersionRef
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.frames import capture_trouble, keeper
from edge_agent.frames.capture_trouble import ASK_EVERY_S, PROMPT_S, SilenceWatch
from edge_agent.frames.doorbell import make_pair
from edge_agent.frames.frame_source import FrameSource
from edge_agent.frames.keeper import Capture, FrameLink
from edge_agent.frames.messages import CaptureRequest
from edge_agent.sources.source import SourceSample
from edge_agent.update.records import Installed
from edge_agent.worker.messages import FromWorker, SourceEnded, SourceSaid
from tests.edge_agent.frames.test_capture_process import Station, alive, beside, make_images, request, until
from tests.edge_agent.sources.live_sources import SOUND
from tests.edge_agent.sources.test_microphone import stand_in
from tests.simulators.packages import make_package

INSTALLED = Installed(VersionRef("digits", 1, "0" * 64), "onnx-float32")


def silence_is_over_at(patience_s: float, *, took_s: float = 0.01, gives_at_s: float = -1.0, asked_every_s: float = ASK_EVERY_S) -> float:
    """After how many seconds of a silent device; 0.0 where not within two minutes."""
    watch, at_s, since_s = SilenceWatch(patience_s, 0.0), 0.0, 0.0
    while at_s < 120:
        at_s += asked_every_s
        since_s = gives_at_s if 0 < gives_at_s < at_s else since_s
        if watch.is_over(at_s, at_s - since_s, took_s):
            return at_s
    return 0.0


def test_a_device_that_gives_nothing_uses_the_patience_up() -> None:
    assert silence_is_over_at(10.0) == pytest.approx(10.0, abs=ASK_EVERY_S)
    assert silence_is_over_at(10.0, gives_at_s=7.5) == pytest.approx(18.5, abs=ASK_EVERY_S), "it begins anew with each sample"


def test_a_process_that_is_starved_or_an_agent_that_was_held_up_is_no_silence() -> None:
    assert silence_is_over_at(10.0, took_s=PROMPT_S) == 0.0
    assert silence_is_over_at(10.0, asked_every_s=30.0) == 0.0, "each look counts for two seconds at most"
    watch = SilenceWatch(10.0, 0.0)
    assert not any(watch.is_over(at_s, 0.0, 0.01) for at_s in range(1, 100)), "a source that owes nothing"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes as seconds."""
    monkeypatch.setattr(capture_trouble, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(capture_trouble, "STILL_S", 0.5)
    monkeypatch.setattr(keeper, "SILENT_FIRST_S", 0.3)
    monkeypatch.setattr(keeper, "RESTART_FIRST_S", 0.01)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("plain", [False, True])
def test_a_capture_process_that_hangs_is_replaced_and_the_worker_serves_on(tmp_path: Path, package: Package, *, plain: bool) -> None:
    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        worker = station.keeper.pid
        os.kill(pid, signal.SIGSTOP)
        assert await station.keeper.probe(10) == ""
        await until(lambda: station.keeper.frames.pids not in ([], [pid]) and not alive(pid))
        seen = len(station.answered)
        await until(lambda: len(station.answered) > seen + 5)
        assert station.keeper.pid == worker
        assert not station.crashes, "the worker did not notice"
        (said,) = station.said(SourceSaid)
        assert "the capture process of the source folder hangs: it stood still" in said.text
        assert said.text.endswith("it is started again")

    beside(tmp_path, package, story, plain=plain, repeat=True)


@pytest.mark.usefixtures("hurried")
@pytest.mark.once
def test_a_worker_that_comes_while_the_capture_process_hangs_gets_frames_from_the_next(
    tmp_path: Path, package: Package, key: PrivateKey
) -> None:
    newer = make_package(tmp_path / "newer", key=key, version=2)

    async def story(station: Station) -> None:
        await until(lambda: len(station.answered) > 5)
        (pid,) = station.keeper.frames.pids
        os.kill(pid, signal.SIGSTOP)
        await station.keeper.serve(station.serving(newer))
        await until(lambda: station.keeper.frames.pids not in ([], [pid]))
        seen = len(station.answered)
        await until(lambda: len(station.answered) > seen + 5)
        assert station.keeper.serving == station.serving(newer)
        assert not station.crashes

    beside(tmp_path, package, story, repeat=True)


@contextlib.asynccontextmanager
async def captured(wanted: CaptureRequest) -> AsyncIterator[tuple[Capture, FrameSource, list[FromWorker]]]:
    """A source that is kept, without a worker: its end of the doorbell, and what its worker's supervisor hears."""
    heard: list[FromWorker] = []
    capture = Capture(wanted, INSTALLED, None)
    link = FrameLink(capture, *make_pair(plain=False), heard.append)
    capture.join(link)
    source = FrameSource(link.theirs.detach())
    try:
        yield capture, source, heard
    finally:
        source.close()
        await capture.stop()
        link.ours.close()


@pytest.mark.usefixtures("hurried")
def test_a_driver_that_stalls_is_said_once_and_its_process_replaced_until_it_gives_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, b"", endless=True)  # a recorder that is there and gives nothing, for ever

    async def story() -> None:
        async with captured(CaptureRequest("microphone", b"{}", SOUND.inputs, str(tmp_path))) as (capture, source, heard):
            pids = [capture.pid]
            await until(lambda: len(heard) == 2)
            said, ended = heard
            assert isinstance(said, SourceSaid)
            assert "the source microphone has given nothing for" in said.text
            assert isinstance(ended, SourceEnded)
            assert ended.detail.endswith("3 times without a sample")
            assert capture.pid not in pids
            (tmp_path / "sound").write_bytes(np.arange(200, dtype="<i2").tobytes())
            async for item in source.items():
                if isinstance(item, SourceSample):
                    break
            await until(lambda: SourceSaid("the source microphone gives samples again") in heard)
            await until(lambda: (tmp_path / "pid").read_text().endswith("\n"))
            recorder = int((tmp_path / "pid").read_text())
        await until(lambda: not alive(recorder))

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.usefixtures("hurried")
def test_a_native_call_that_never_returns_and_keeps_the_interpreter_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_images(tmp_path / "images", 1)
    (tmp_path / "stuck" / "PIL").mkdir(parents=True)
    (tmp_path / "stuck" / "PIL" / "__init__.py").write_text("import ctypes\nctypes.PyDLL(None).sleep(1000)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stuck"))

    async def story() -> None:
        async with captured(request(tmp_path)) as (_, _, heard):
            await until(lambda: any(isinstance(message, SourceEnded) for message in heard))
            (ended,) = (message for message in heard if isinstance(message, SourceEnded))
            assert ended.failed
            assert "hangs: it stood still" in ended.detail
            assert "3 times without a sample" in ended.detail

    asyncio.run(asyncio.wait_for(story(), 60))
