import asyncio
from pathlib import Path

import pytest

from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.engine.engine import open_engine
from edge_agent.engine.errors import InputError
from edge_agent.worker.inference import DeadlineError, Inference, QueueFullError
from edge_agent.worker.windows import WindowRecorder
from tests.simulators.packages import make_frames, make_package

VARIANT = "onnx-float32"
SAMPLE = {"frame": make_frames(1, 1)[0][0]}


def opened(package: Package, latency_us: float, queue_length: int = 8) -> Inference:
    recorder = WindowRecorder(package.manifest.labels, None, 0.0)
    return Inference(open_engine(package, VARIANT), recorder, latency_us=latency_us, queue_length=queue_length)


def test_a_fast_model_answers_at_once(package: Package) -> None:
    async def story() -> None:
        inference = opened(package, latency_us=50)
        assert inference.inline
        assert (await inference.predict(SAMPLE)).label == "red"
        await inference.settle()
        assert inference.recorder.completed == 1
        inference.close()

    asyncio.run(story())


def test_a_slow_model_leaves_the_loop_free_and_a_ping_waits_for_one_inference_only(tmp_path: Path, key: PrivateKey) -> None:
    slow = make_package(tmp_path / "slow", key=key, kind="slow")

    async def story() -> None:
        inference = opened(slow, latency_us=20_000)
        waiting = [asyncio.create_task(inference.predict(SAMPLE)) for _ in range(8)]
        await asyncio.sleep(0)
        assert not [task for task in waiting if task.done()], "none of them kept the loop until it had its answer"
        await inference.settle()
        assert inference.under_way >= 6
        async with inference.exclusive() as engine:
            assert engine.predict(SAMPLE).label == "red"
        assert {prediction.label for prediction in await asyncio.gather(*waiting)} == {"red"}
        await inference.settle()
        inference.close()

    asyncio.run(story())


def test_what_does_not_fit_the_queue_is_refused_and_counted(tmp_path: Path, key: PrivateKey) -> None:
    slow = make_package(tmp_path / "slow", key=key, kind="slow")

    async def story() -> None:
        inference = opened(slow, latency_us=20_000, queue_length=2)
        results = await asyncio.gather(*(inference.predict(SAMPLE) for _ in range(5)), return_exceptions=True)
        assert [isinstance(result, QueueFullError) for result in results] == [False, False, False, True, True]
        stats = inference.recorder.close(1.0)
        assert stats is not None
        assert (stats.count, stats.dropped) == (3, 2)
        inference.close()

    asyncio.run(story())


def test_an_input_that_does_not_fit_is_no_error_of_the_model(package: Package) -> None:
    inference = opened(package, latency_us=50)
    with pytest.raises(InputError):
        inference.predict_now({})
    assert inference.recorder.close(1.0) is None
    inference.close()


def test_who_gives_up_leaves_the_queue_and_the_engine_is_never_used_by_two(tmp_path: Path, key: PrivateKey) -> None:
    slow = make_package(tmp_path / "slow", key=key, kind="slow")

    async def story() -> None:
        inference = opened(slow, latency_us=20_000, queue_length=2)
        running = asyncio.create_task(inference.predict(SAMPLE))
        waiting = asyncio.create_task(inference.predict(SAMPLE))
        await asyncio.sleep(0)
        running.cancel()
        waiting.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert (inference.queue_depth, inference.under_way) == (0, 1)  # the engine works on: a thread can not be stopped
        async with inference.exclusive() as engine:
            assert inference.under_way == 0
            assert inference.recorder.completed == 1
            late = asyncio.create_task(inference.predict(SAMPLE, 60))
            await asyncio.sleep(0)
            assert engine.predict(SAMPLE).label == "red"
            assert inference.queue_depth == 1
        assert (await late).label == "red"
        inference.close()

    asyncio.run(story())


def test_a_deadline_ends_the_wait_and_is_counted(tmp_path: Path, key: PrivateKey) -> None:
    slow = make_package(tmp_path / "slow", key=key, kind="slow")

    async def story() -> None:
        inference = opened(slow, latency_us=20_000)
        results = await asyncio.gather(*(inference.predict(SAMPLE, 0.001) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, DeadlineError) for result in results)
        assert inference.queue_depth == 0
        await inference.settle()
        stats = inference.recorder.close(1.0)
        assert stats is not None
        assert (stats.count, stats.deadline_misses) == (1, 3)
        assert inference.recorder.totals().deadline_misses == 3
        assert inference.recorder.totals().latency_us.count == 1
        inference.close()

    asyncio.run(story())
