"""How long the work of an update's state may take. The time stands still while the work waits for leave to go on."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class StateTime:
    """A deadline that can stand still; calls `end` when it has passed."""

    def __init__(self, allowed_s: float, end: Callable[[], object]) -> None:
        self._left_s = allowed_s
        self._end = end
        self._holds = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.has_passed = False
        self._run_on()

    def hold(self) -> None:
        """Stand still, until as many `go_on`."""
        self._holds += 1
        self._stop()

    def go_on(self) -> None:
        """Run again."""
        self._holds -= 1
        if not self._holds and not self._is_closed:
            self._run_on()

    def close(self) -> None:
        """The work has ended."""
        self._is_closed = True
        self._stop()

    def _run_on(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._left_s, self._pass)

    def _stop(self) -> None:
        if self._timer is not None:
            self._left_s = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
            self._timer.cancel()
            self._timer = None

    def _pass(self) -> None:
        self.has_passed = True
        self._timer = None
        self._end()


class WorkTime:
    """The time of one slot's work. Work that was cancelled may still be ending while the next has begun: each has a time of its own."""

    def __init__(self) -> None:
        self.now: StateTime | None = None

    async def bound(self, work: Coroutine[Any, Any, T], allowed_s: float) -> T:
        """The result of `work`.

        Raises:
            asyncio.TimeoutError: it took longer than `allowed_s`, waits apart; it was cancelled.
        """
        task = asyncio.create_task(work)
        self.now = time = StateTime(allowed_s, task.cancel)
        try:
            return await task
        except asyncio.CancelledError:
            if time.has_passed:
                raise asyncio.TimeoutError from None
            raise
        finally:
            time.close()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """For the work itself: what happens inside does not count."""
        time = self.now
        if time is None:
            yield
            return
        time.hold()
        try:
            yield
        finally:
            time.go_on()


class Turn(asyncio.Lock):
    """One update at a time. While its holder waits for leave, the time of those in line stands still, too."""

    def __init__(self) -> None:
        super().__init__()
        self._in_line: set[StateTime] = set()
        self._is_held_up = False

    async def take(self, time: StateTime | None) -> None:
        """Get in line; `time` is that of whoever does."""
        if time is None:
            await self.acquire()
            return
        self._in_line.add(time)
        if self._is_held_up:
            time.hold()
        try:
            await self.acquire()
        finally:
            self._in_line.discard(time)
            if self._is_held_up:
                time.go_on()

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """The holder waits."""
        self._is_held_up = True
        for time in self._in_line:
            time.hold()
        try:
            yield
        finally:
            self._is_held_up = False
            for time in self._in_line:
                time.go_on()
