"""The time of a state's work, in virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from edge_agent.update.work_time import Turn, WorkTime
from tests.simulators.virtual_time import run_virtually


def took(work: Coroutine[Any, Any, Any]) -> float:
    async def timed() -> float:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await work
        return round(loop.time() - begun, 3)

    return run_virtually(timed())


async def ends_late(time: WorkTime, work: Coroutine[Any, Any, Any], allowed_s: float) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await time.bound(work, allowed_s)


def test_work_that_takes_too_long_is_cancelled_at_its_time() -> None:
    assert took(ends_late(WorkTime(), asyncio.sleep(100), 10)) == 10


def test_work_that_ends_in_time_gives_its_result() -> None:
    async def seven() -> int:
        await asyncio.sleep(5)
        return 7

    assert run_virtually(WorkTime().bound(seven(), 10)) == 7


def test_a_wait_does_not_count_but_the_time_before_it_does() -> None:
    time = WorkTime()

    async def work() -> None:
        await asyncio.sleep(6)
        with time.standing_still(), time.standing_still():
            await asyncio.sleep(1000)
        await asyncio.sleep(100)

    assert took(ends_late(time, work(), 10)) == 1010


def test_work_that_is_cancelled_from_outside_is_not_late() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(True)

    async def cancelled() -> None:
        task = asyncio.create_task(WorkTime().bound(work(), 50))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(cancelled())
    assert ended == [True]


def test_the_next_work_has_its_own_time_while_the_one_before_still_ends() -> None:
    time = WorkTime()

    async def waits() -> None:
        with time.standing_still():
            await asyncio.sleep(1000)

    async def follows() -> None:
        before = asyncio.create_task(time.bound(waits(), 10))
        await asyncio.sleep(50)
        before.cancel()
        await ends_late(time, asyncio.sleep(100), 20)
        assert before.cancelled()

    assert took(follows()) == 70


def test_whoever_is_in_line_is_not_late_while_the_holder_waits() -> None:
    turn = Turn()

    async def queues(time: WorkTime) -> None:
        await turn.take(time.now)

    async def held() -> None:
        await turn.take(None)
        with turn.held_up():
            time = WorkTime()
            early = asyncio.create_task(time.bound(queues(time), 10))
            await asyncio.sleep(1000)
        await asyncio.sleep(5)
        late = WorkTime()
        await ends_late(late, queues(late), 3)  # nobody waits for leave now
        turn.release()
        await early

    assert took(held()) == 1008


def test_whoever_leaves_the_line_while_the_holder_waits_takes_its_time_along() -> None:
    turn, time = Turn(), WorkTime()

    async def leaves() -> None:
        task = asyncio.create_task(turn.take(time.now))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(100)

    async def held() -> None:
        await turn.take(None)
        with turn.held_up():
            await ends_late(time, leaves(), 10)

    assert took(held()) == 11
