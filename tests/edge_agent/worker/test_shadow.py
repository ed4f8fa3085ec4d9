"""A candidate in the shadow of a worker that serves: real processes, and what passes between them."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from contract.application import Application, CapturePolicy, Source
from contract.errors import FormatError
from contract.package import Package
from contract.pairs import Disagreement
from contract.signing import PrivateKey
from contract.states import FailureReason
from edge_agent.capture.store import list_samples
from edge_agent.engine.engine import Prediction
from edge_agent.worker.messages import Served
from edge_agent.worker.process import WorkerProcess
from edge_agent.worker.shadow_counts import CHANGES_MAX, ShadowCounts
from edge_agent.worker.shadow_frames import HEAD, PairHead, decode_pair, encode_pair, read_pair
from edge_agent.worker.shadow_run import NoShadowError, ShadowError, ShadowOrder, ShadowRun, shadow_beside
from edge_agent.worker.shadow_tap import LARGE_PER_S, PAIRS_PER_S, WAITING_MAX_BYTES, Pace, ShadowTap, open_tap
from tests.edge_agent.worker.test_process import listening_socket, post_image, request_for, running, until
from tests.simulators.children import children_of
from tests.simulators.packages import make_frames, make_package

SCORES = np.array([0.9, 0.1], np.float32)
PREDICTION = Prediction("red", 0, 0.9, SCORES, {"scores": SCORES}, 120.0)
HEADER = PairHead("red", 0.9, [0.9, 0.1], 120.0, "2026-01-01T00:00:00.000Z", "", 0, ())
FRAMES = make_frames(3, 4)[0]
WAIT_S = 60.0


# What passes between them


ARRAYS = npst.arrays(
    st.sampled_from([np.uint8, np.float32, np.int64]), npst.array_shapes(max_dims=3, max_side=4), elements=st.integers(0, 9)
)
TEXTS = st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8), min_size=1, max_size=3).map(
    lambda texts: np.array(texts, object)
)


@given(st.dictionaries(st.sampled_from(["frame", "row", "text"]), ARRAYS | TEXTS, min_size=1), st.text(max_size=9).filter(str.isprintable))
def test_a_sample_comes_back_as_it_went(sample: dict[str, np.ndarray], source: str) -> None:
    frame = encode_pair(sample, PREDICTION, at="now", source=source, dropped=3)
    header_bytes, body_bytes = HEAD.unpack(frame[: HEAD.size])
    assert len(frame) == HEAD.size + header_bytes + body_bytes
    pair = decode_pair(frame[HEAD.size : HEAD.size + header_bytes], frame[HEAD.size + header_bytes :])
    assert (pair.head.label, pair.head.source, pair.head.dropped) == ("red", source, 3)
    assert list(pair.sample) == list(sample)
    for name, array in sample.items():
        assert pair.sample[name].dtype == array.dtype
        np.testing.assert_array_equal(pair.sample[name], array)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_nonsense_is_refused_as_a_format_error(header: bytes, body: bytes) -> None:
    with contextlib.suppress(FormatError):
        decode_pair(header, body)


def test_a_length_that_is_too_great_is_refused_before_anything_is_kept_for_it() -> None:
    async def story() -> None:
        stream = asyncio.StreamReader()
        stream.feed_data(HEAD.pack(10, (1 << 32) - 1))
        with pytest.raises(FormatError, match="too long"):
            await read_pair(stream)
        ended = asyncio.StreamReader()
        ended.feed_data(HEAD.pack(10, 10) + b"half")
        ended.feed_eof()
        assert await read_pair(ended) is None

    asyncio.run(story())


# The tap


@contextlib.asynccontextmanager
async def tapped(share: float = 1.0) -> AsyncIterator[tuple[ShadowTap, socket.socket]]:
    """A tap for which no time passes, and its other end."""
    ours, theirs = socket.socketpair()
    tap = await open_tap(theirs.detach(), share, lambda: 100.0)
    with ours:
        yield tap, ours
        tap.close()
        await asyncio.sleep(0)


def test_a_candidate_that_takes_nothing_costs_a_bounded_memory_and_what_is_dropped_is_counted() -> None:
    async def story() -> None:
        async with tapped() as (tap, _):
            small = {"row": np.zeros(30_000, np.float32)}
            for _ in range(1000):
                tap.offer(small, PREDICTION, "")
            assert tap.dropped == 1000 - PAIRS_PER_S
            huge = {"frame": np.zeros(WAITING_MAX_BYTES + 1, np.uint8)}
            dropped = tap.dropped
            tap.offer(huge, PREDICTION, "")
            assert tap.dropped == dropped + 1
            assert tap._transport is not None
            assert tap._transport.get_write_buffer_size() <= WAITING_MAX_BYTES

    asyncio.run(story())


def test_large_frames_go_at_a_bounded_rate() -> None:
    async def story() -> None:
        async with tapped() as (tap, ours):
            frame = {"frame": np.zeros((600, 600, 3), np.uint8)}
            for _ in range(20):
                tap.offer(frame, PREDICTION, "")
            assert 20 - tap.dropped == LARGE_PER_S
            assert ours.recv(4)

    asyncio.run(story())


def test_a_tap_whose_candidate_is_gone_drops_and_never_raises() -> None:
    async def story() -> None:
        async with tapped() as (tap, ours):
            ours.close()
            await until(lambda: not tap.is_open)
            tap.offer({"frame": FRAMES[0]}, PREDICTION, "")
            assert tap.dropped == 1

    asyncio.run(story())


def test_a_sample_that_can_not_be_encoded_ends_the_tap_and_costs_no_answer() -> None:
    async def story() -> None:
        async with tapped() as (tap, _):
            tap.offer({"frame": None}, PREDICTION, "")  # type: ignore[dict-item]
            assert not tap.is_open

    asyncio.run(story())


def test_a_share_is_a_share() -> None:
    async def story() -> None:
        async with tapped(share=0.2) as (tap, _):
            tap.close()  # so that what is chosen is counted as dropped
            for _ in range(2000):
                tap.offer({"frame": FRAMES[0]}, PREDICTION, "")
            assert 250 < tap.dropped < 550

    asyncio.run(story())


def test_a_pace_allows_so_many_a_second() -> None:
    pace = Pace(4.0, 100.0)
    assert [pace.allows(100.0) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [pace.allows(100.5) for _ in range(3)] == [True, True, False]
    assert sum(pace.allows(100.5 + 0.01 * step) for step in range(1, 1001)) == 40


# What a candidate counts


def answered(label: str, score: float = 0.9) -> Prediction:
    return PREDICTION._replace(label=label, score=score)


def test_pairs_changes_and_errors_are_counted_apart() -> None:
    counts = ShadowCounts()
    agreed = [counts.record(HEADER, answered(label)) for label in ("red", "blue", "blue", "green")]
    assert agreed == [False, True, True, True]
    counts.record_error(msgspec.structs.replace(HEADER, dropped=7), "of another shape")
    counts.record(msgspec.structs.replace(HEADER, dropped=8), answered("red", float("nan")))
    said = counts.message()
    assert (said.pairs, said.disagreements, said.errors, said.dropped) == (4, 3, 2, 8)
    assert said.disagreed == (Disagreement("red", "blue", 2), Disagreement("red", "green", 1))
    assert said.last_error == "the score is no number"
    assert said.current_latency_us.count == said.candidate_latency_us.count == said.score_difference.count == 4


def test_changes_of_label_without_end_take_a_bounded_memory() -> None:
    counts = ShadowCounts()
    for number in range(CHANGES_MAX + 100):
        counts.record(HEADER, answered(f"label-{number}"))
    assert counts.disagreements == CHANGES_MAX + 100
    assert len(counts._changes) == CHANGES_MAX


# Real processes


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    return make_package(tmp_path_factory.mktemp("other") / "package", key=key, version=2, kind="bad")


def order_for(package: Package, share: float = 1.0, **changes: object) -> ShadowOrder:
    return ShadowOrder(request_for(package, window_s=0.05, in_shadow_of=Served(1, "onnx-float32"), **changes), share)


def counted(run: ShadowRun) -> int:
    return run.counts.pairs if run.counts is not None else 0


@contextlib.asynccontextmanager
async def serving(package: Package) -> AsyncIterator[tuple[WorkerProcess, int]]:
    with listening_socket() as listening:
        async with running(request_for(package, sockets=(listening.fileno(),))) as worker:
            yield worker, listening.getsockname()[1]


async def ask(port: int, times: int = 1) -> None:
    for number in range(times):
        state, answer = await asyncio.to_thread(post_image, port, FRAMES[number % 3])
        assert (state, answer["model_version"], answer["label"]) == (200, "1", ("red", "green", "blue")[number % 3])


def test_a_candidate_answers_the_same_samples_and_nobody_else_hears_it(package: Package, other: Package) -> None:
    async def story() -> None:
        async with serving(package) as (worker, port):
            await ask(port)
            async with shadow_beside(worker, order_for(other)) as run:
                assert run.is_beside(worker)
                await ask(port, 9)
                await until(lambda: counted(run) == 9, WAIT_S)
                assert run.counts is not None
                assert run.counts.disagreements == 9
                assert run.counts.disagreed[0] == Disagreement("blue", "red", 3) or run.counts.disagreed[0].count == 3
                assert run.trouble is None
            await ask(port, 3)
            async with shadow_beside(worker, order_for(package)) as run:  # again, with another candidate
                await ask(port, 6)
                await until(lambda: counted(run) == 6, WAIT_S)
                assert run.counts is not None
                assert (run.counts.disagreements, run.counts.dropped) == (0, 0)
            assert worker.returncode is None

    asyncio.run(story())


def candidate_pid(worker: WorkerProcess) -> int:
    """The only other child of this process that is a candidate."""
    found = children_of(os.getpid(), "edge_agent.worker.shadow")
    assert worker.pid not in found
    return found[0]


@pytest.mark.parametrize(
    ("signal_number", "reason", "words"),
    [
        (signal.SIGKILL, FailureReason.MODEL_CRASHED, "ended with signal 9"),
        (signal.SIGSTOP, FailureReason.TIMED_OUT, "hangs"),
    ],
)
def test_a_candidate_that_dies_or_hangs_is_noticed_and_serving_goes_on(
    package: Package, other: Package, signal_number: signal.Signals, reason: FailureReason, words: str
) -> None:
    async def story() -> None:
        async with serving(package) as (worker, port):
            async with shadow_beside(worker, order_for(other)) as run:
                await ask(port, 3)
                os.kill(candidate_pid(worker), signal_number)
                await until(lambda: run.trouble is not None, WAIT_S)
                assert run.trouble is not None
                assert (run.trouble.reason, words in run.trouble.detail) == (reason, True), run.trouble.detail
                await ask(port, 30)
            await ask(port, 3)
            assert (await worker.ping(5)).completed == 36

    asyncio.run(story())


def test_a_candidate_that_can_not_be_opened_says_why(package: Package, other: Package) -> None:
    async def story() -> None:
        async with serving(package) as (worker, port):
            with pytest.raises(ShadowError, match="does not start") as caught:
                async with shadow_beside(worker, order_for(other, digest="0" * 64)):
                    pass
            assert caught.value.reason is FailureReason.NOT_TRUSTED
            await ask(port)

    asyncio.run(story())


def test_a_run_that_is_cancelled_leaves_no_candidate(package: Package, other: Package) -> None:
    async def story() -> None:
        async def stay(worker: WorkerProcess) -> None:
            async with shadow_beside(worker, order_for(other)):
                begun.set()
                await asyncio.Event().wait()

        begun = asyncio.Event()
        async with serving(package) as (worker, port):
            task = asyncio.create_task(stay(worker))
            await begun.wait()
            pid = candidate_pid(worker)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not psutil.pid_exists(pid)
            await ask(port, 3)

    asyncio.run(story())


def test_a_worker_that_is_gone_gets_no_shadow(package: Package, other: Package) -> None:
    async def story() -> None:
        async with running(request_for(package)) as worker:
            worker.kill()
            await worker.wait()
            with pytest.raises(NoShadowError):
                async with shadow_beside(worker, order_for(other)):
                    pass

    asyncio.run(story())


def test_samples_of_the_applications_source_on_which_the_two_disagree_are_kept_and_those_of_requests_are_not(
    package: Package, other: Package, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(FRAMES[0]).save(tmp_path / "images" / "door.png")
    (tmp_path / "config.json").write_text('{"capture_samples": true, "capture_per_hour": 3}')
    source = Source("folder", {"path": "images", "per_second": 50, "repeat": True})
    application = Application(1, "door", 4, "digits", source, (), capture=CapturePolicy(on_disagreement=True))

    async def story() -> None:
        with listening_socket() as listening:
            request = request_for(package, application=application, data_folder=str(tmp_path), sockets=(listening.fileno(),))
            async with running(request) as worker:
                order = order_for(other, application=application, data_folder=str(tmp_path))
                async with shadow_beside(worker, order) as run:
                    await ask(listening.getsockname()[1], 3)
                    await until(lambda: counted(run) > 10 and len(list_samples(tmp_path / "captured" / "main")) == 3, WAIT_S)

    asyncio.run(story())
    kept = list_samples(tmp_path / "captured" / "main")
    assert len(kept) == 3, "the device's own pace binds it"
    line = kept[0].line
    assert (line.reason, line.source, line.application, line.application_version) == ("disagreement", "door.png", "door", 4)
    assert (line.version, line.label, line.candidate_version) == (1, "red", 2)
    assert line.candidate_label != "red"
    np.testing.assert_array_equal(np.asarray(Image.open(kept[0].path)), FRAMES[0])


@pytest.mark.parametrize(("config", "on_disagreement"), [("{}", True), ('{"capture_samples": true}', False)])
def test_without_both_consents_nothing_is_kept(
    package: Package, other: Package, tmp_path: Path, config: str, on_disagreement: bool
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(FRAMES[0]).save(tmp_path / "images" / "door.png")
    (tmp_path / "config.json").write_text(config)
    source = Source("folder", {"path": "images", "per_second": 50, "repeat": True})
    application = Application(1, "door", 4, "digits", source, (), capture=CapturePolicy(on_disagreement=on_disagreement))

    async def story() -> None:
        request = request_for(package, application=application, data_folder=str(tmp_path))
        order = order_for(other, application=application, data_folder=str(tmp_path))
        async with running(request) as worker, shadow_beside(worker, order) as run:
            await until(lambda: counted(run) > 5, WAIT_S)
            assert run.counts is not None
            assert run.counts.disagreements == run.counts.pairs

    asyncio.run(story())
    assert list_samples(tmp_path / "captured" / "main") == []
