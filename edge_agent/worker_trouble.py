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
    pause_s, seen = LOOK_EVERY_S, -1
    while True:
        await asyncio.wait([end], timeout=pause_s)
        cause, completed = "", worker.completed
        if not end.done() and completed == seen:
            cause = await _ask(worker, end, inference_deadline_ms, suspicion)
            pause_s = min(IDLE_LOOK_EVERY_S, 2 * pause_s)
        else:
            pause_s = LOOK_EVERY_S
        seen = completed
        if end.done():
            said = worker.failed
            return said.detail if said else f"ended with {_describe(end.result())}"
        if cause:
            return cause


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
