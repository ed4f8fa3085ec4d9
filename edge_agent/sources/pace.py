"""Keeps a steady rate on the monotonic clock."""

import asyncio


class Pace:
    """`per_second` turns per second; a turn that came late is not made up for by a burst."""

    def __init__(self, per_second: float) -> None:
        self._period_s = 1 / per_second
        self._next: float | None = None

    async def wait(self) -> None:
        """Sleep until the next turn; always lets other tasks run."""
        now = asyncio.get_running_loop().time()
        due = now if self._next is None else self._next
        self._next = max(due + self._period_s, now)
        await asyncio.sleep(max(0.0, due - now))
