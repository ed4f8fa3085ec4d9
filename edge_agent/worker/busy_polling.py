"""An event loop that stays awake a moment longer while requests come one right after the other.

To be woken from another core takes 20 to 50 µs, as long as the whole answer of a small model. So a client that
asks again as soon as it has its answer is waited for awake, for `POLL_S` at most, and only after several
waits were that short: a worker with 30 frames a second sleeps between any two. Between two looks whoever
else wants the core gets it, and each look in vain makes the next one rarer.
"""

import asyncio
import os
import select
import selectors
import sys
import time
from collections.abc import Coroutine
from typing import Any

POLL_S = 200e-6
SHORT_BEFORE, SHORT_BEFORE_MOST = 4, 1024
"""So many waits must have been short, one after the other, before one is spent awake: at first, and at most, after looks in vain."""


class BusyPollSelector(selectors.EpollSelector):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._same = select.epoll.fromfd(os.dup(self.fileno()))
        self._short, self._wanted = 0, SHORT_BEFORE

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As of `selectors`; a timer that is due within `POLL_S` may be late by as much."""
        if timeout is not None and timeout <= 0:
            return super().select(timeout)
        begun_s = time.perf_counter()
        if self._short >= self._wanted and self._look_until(begun_s + POLL_S):
            return super().select(0)
        ready = super().select(timeout)
        self._short = self._short + 1 if time.perf_counter() - begun_s < POLL_S else 0
        return ready

    def _look_until(self, end_s: float) -> bool:
        """Whether something came in time. Where the core was given to others for long, whatever came is as late as nothing."""
        poll, now_s, give_way = self._same.poll, time.perf_counter, os.sched_yield
        while now_s() < end_s:
            if poll(0, 1):
                self._wanted = max(SHORT_BEFORE, self._wanted // 2)
                return True
            give_way()
        self._short, self._wanted = 0, min(2 * self._wanted, SHORT_BEFORE_MOST)
        return False

    def close(self) -> None:
        """As of `selectors`."""
        self._same.close()
        super().close()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop with such a selector."""
    return asyncio.SelectorEventLoop(BusyPollSelector())


def run(main: Coroutine[Any, Any, int]) -> int:
    """As `asyncio.run`; who has one core alone can gain nothing, and waits as usual."""
    if len(os.sched_getaffinity(0)) == 1:
        return asyncio.run(main)
    if sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(main)
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(_Policy())
    try:
        return asyncio.run(main)
    finally:
        asyncio.set_event_loop_policy(before)


class _Policy(asyncio.DefaultEventLoopPolicy):
    """For Python 3.10, which has no other way."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return new_event_loop()
