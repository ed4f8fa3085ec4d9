"""Waits for a worker's end, or for the moment when it hangs.

What it completes is looked at without waking it; it is asked only where nothing was completed since the last look.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from edge_agent.hang_watch import LOOK_S, HangWatch, deadline_of, look_at
from edge_agent.worker.messages import Pong
from edge_agent.worker.process import WorkerError, WorkerProcess

LOOK_EVERY_S, IDLE_LOOK_EVERY_S = 2 * LOOK_S, 1.0
"""How often the progress of a worker is looked at: while it works, and (growing towards it) while it has nothing to do."""
PING_TIMEOUT_S = 3600.0
"""The hang watch decides long before; this only ends the question."""


class Suspicion(NamedTuple):
    """What is done when a worker may hang, and when it answered after all; nothing is said where the suspicion was right."""

    begin: Callable[[], None]
    drop: Callable[[], None]


async def wait_for_trouble(worker: WorkerProcess, end: "asyncio.Future[int]", inference_deadline_ms: float, suspicion: Suspicion) -> str:
    """Until it ends or hangs; says which, in words. `end` is its end, `inference_deadline_ms` as the owner set it (0: found out)."""
    progress = _Progress(worker)
    while True:
        await progress.until_still(end)
        cause = "" if end.done() else await _ask(worker, end, inference_deadline_ms, suspicion)
        if end.done():
            said = worker.failed
            return said.detail if said else f"ended with {_describe(end.result())}"
        if cause:
            return cause


class _Progress:
    """Looks at what a worker completes: a timer's callback alone while there is progress, for it happens 20 times a second."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._seen = -1
        self._pause_s = LOOK_EVERY_S

    async def until_still(self, end: "asyncio.Future[int]") -> None:
        """Until nothing was completed since the look before, or the worker ended."""
        loop = asyncio.get_running_loop()
        still: asyncio.Future[None] = loop.create_future()
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            if self._is_still():
                still.set_result(None)
            else:
                timer = loop.call_later(self._pause_s, look)

        timer = loop.call_later(self._pause_s, look)
        try:
            await asyncio.wait((end, still), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()

    def _is_still(self) -> bool:
        completed = self._worker.completed
        if completed == self._seen:
            self._pause_s = min(IDLE_LOOK_EVERY_S, 2 * self._pause_s)
            return True
        self._seen, self._pause_s = completed, LOOK_EVERY_S
        return False


async def _ask(worker: WorkerProcess, end: "asyncio.Future[int]", inference_deadline_ms: float, suspicion: Suspicion) -> str:
    """Ping it; returns why it hangs, "" where it answered or ended."""
    asked = look_at(worker.pid, worker.begun_ns)
    if asked is None:
        return ""
    watch = HangWatch(deadline_of(worker.latency_us, inference_deadline_ms), asked)
    ping = asyncio.create_task(worker.ping(PING_TIMEOUT_S), name=f"ping-{worker.pid}")
    suspected = False
    try:
        while not ping.done() and not end.done():
            await asyncio.wait((ping, end), timeout=watch.step_s, return_when=asyncio.FIRST_COMPLETED)
            look = None if ping.done() else look_at(worker.pid, worker.begun_ns)
            if look is not None and (cause := watch.judge(look)):
                return cause
            if watch.suspects and not suspected:
                suspected = True
                suspicion.begin()
    finally:
        ping.cancel()
    if suspected and not end.done():
        suspicion.drop()
    return await _fault_of(ping, worker)


async def _fault_of(ping: "asyncio.Task[Pong]", worker: WorkerProcess) -> str:
    """What was wrong with its answer; empty where the ping was answered or the worker ended."""
    try:
        await ping
    except WorkerError as error:
        return f"hangs: {error}" if worker.returncode is None else ""
    except asyncio.CancelledError:
        if not ping.cancelled():
            raise
    return ""


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
