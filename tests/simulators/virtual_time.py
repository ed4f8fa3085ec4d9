"""An event loop whose clock jumps to the next moment at which something is due."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
BEGINS_S = 1000.0


class NothingWillHappenError(Exception):
    """Everybody waits for somebody, without a deadline."""


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: it says by how much the clock must be put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGINS_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingWillHappenError
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Threads and sockets have no place in it."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.set_exception_handler(lambda *_: None)  # what a dead process leaves unread

    def time(self) -> float:
        return self._jumping.now


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; tasks that are left are cancelled.

    Raises:
        NothingWillHappenError: `work` waits for what can not come.
    """
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
