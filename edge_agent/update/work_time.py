"""How long the work of an update's state may take. The time stands still while the work waits for leave to go on."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class WorkTime:
    """The time of one slot's work."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left_s = 0.0
        self._holds = 0
        self._is_over = False

    async def bound(self, work: Coroutine[Any, Any, T], allowed_s: float) -> T:
        """The result of `work`.

        Raises:
            asyncio.TimeoutError: it took longer than `allowed_s`, waits apart; it was cancelled.
        """
        self._task = task = asyncio.create_task(work)
        self._left_s, self._holds, self._is_over = allowed_s, 0, False
        self._run_on()
        try:
            return await task
        except asyncio.CancelledError:
            if self._is_over:
                raise asyncio.TimeoutError from None
            raise
        finally:
            self._stop()
            self._task = None

    def hold(self) -> None:
        """Let the time stand still, until as many `go_on`."""
        self._holds += 1
        self._stop()

    def go_on(self) -> None:
        """Let it run again."""
        self._holds -= 1
        if not self._holds and self._task is not None:
            self._run_on()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """What happens inside does not count."""
        self.hold()
        try:
            yield
        finally:
            self.go_on()

    def _run_on(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._left_s, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._left_s = max(0.0, self._timer.when() - asyncio.get_running_loop().time())
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._is_over = True
        self._timer = None
        if self._task is not None:
            self._task.cancel()


class Turn(asyncio.Lock):
    """One update at a time. While its holder waits for leave, the time of those in line stands still, too."""

    def __init__(self) -> None:
        super().__init__()
        self._in_line: set[WorkTime] = set()
        self._is_held_up = False

    async def take(self, time: WorkTime) -> None:
        """Get in line."""
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
