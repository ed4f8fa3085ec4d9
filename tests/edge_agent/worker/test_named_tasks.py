import asyncio
import logging

import pytest

from edge_agent.worker.named_tasks import NamedTasks


async def _fail() -> None:
    raise ValueError("no more")


async def _wait() -> None:
    await asyncio.sleep(60)


def test_a_task_that_fails_is_told_by_its_name_and_one_that_is_cancelled_is_not(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> str:
        told: asyncio.Queue[str] = asyncio.Queue()
        tasks = NamedTasks(told.put_nowait)
        tasks.start(_wait(), "waits")
        tasks.start(_fail(), "fails")
        words = await told.get()
        (waiting,) = tasks.named("waits")
        assert not tasks.named("fails")
        tasks.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert told.empty()
        return words

    with caplog.at_level(logging.CRITICAL):
        assert asyncio.run(story()) == "fails: no more"
    assert "the task fails failed" in caplog.text
