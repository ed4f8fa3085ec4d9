"""The supervisor's side of a candidate in the shadow: start it beside the worker that serves, hear it, notice when it hangs, end it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from contract.states import FailureReason
from edge_agent.hang_watch import HangWatch, deadline_of, look_at
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment
from edge_agent.worker.messages import LINE_MAX_BYTES, FromWorker, Paired, WorkerRequest, encode_line
from edge_agent.worker.process import WorkerError, WorkerProcess

READY_TIMEOUT_S = 60.0
ASK_EVERY_S = 2.0
LEAST_PATIENCE_S = 1.0
STOP_S = 3.0
"""For field samples that are still being written."""

log = logging.getLogger(__name__)


class ShadowError(Exception):
    """The candidate did not get ready, ended or hung."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class NoShadowError(Exception):
    """On this system, or with this worker, no candidate can run beside; why, in words."""


class ShadowOrder(NamedTuple):
    """A candidate to run: its request (sockets are set here), whose it is, and what share of the samples it gets."""

    request: WorkerRequest
    share: float
    identity: ChildIdentity | None = None


class ShadowRun:
    """A candidate beside one worker; made by `shadow_beside`."""

    def __init__(self, served: WorkerProcess) -> None:
        self._served = served
        self.counts: Paired | None = None
        self.trouble: ShadowError | None = None

    def hear(self, message: FromWorker) -> None:
        """What the candidate counted so far."""
        if isinstance(message, Paired):
            self.counts = message

    def is_beside(self, worker: WorkerProcess | None) -> bool:
        """Whether this is the worker whose answers it compares with."""
        return worker is self._served

    async def watch(self, candidate: WorkerProcess) -> None:
        """Until it ends or hangs; `trouble` then says why."""
        end = asyncio.ensure_future(candidate.wait())
        try:
            while not end.done():
                await asyncio.wait([end], timeout=ASK_EVERY_S)
                if not end.done() and (cause := await _ask(candidate, end)):
                    self.trouble = ShadowError(FailureReason.TIMED_OUT, f"in the shadow it {cause}")
                    return
            self.trouble = _end_of(candidate, end.result())
        finally:
            end.cancel()


async def _ask(candidate: WorkerProcess, end: "asyncio.Future[int]") -> str:
    """Ping it; returns why it hangs, "" where it answered or ended."""
    asked = look_at(candidate.pid)
    if asked is None:
        return ""
    watch = HangWatch(max(LEAST_PATIENCE_S, deadline_of(candidate.latency_us)), asked)
    ping = asyncio.ensure_future(candidate.ping(READY_TIMEOUT_S))
    try:
        while not ping.done() and not end.done():
            await asyncio.wait((ping, end), timeout=watch.step_s, return_when=asyncio.FIRST_COMPLETED)
            look = None if ping.done() else look_at(candidate.pid)
            if look is not None and (cause := watch.judge(look)):
                return cause
    finally:
        ping.cancel()
        await asyncio.gather(ping, return_exceptions=True)
    return ""


def _end_of(candidate: WorkerProcess, code: int) -> ShadowError:
    said = candidate.failed
    if said is not None:
        return ShadowError(said.reason, said.detail)
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    return ShadowError(FailureReason.MODEL_CRASHED, f"in the shadow its process ended with {how}")


@contextlib.asynccontextmanager
async def shadow_beside(served: WorkerProcess, order: ShadowOrder) -> AsyncIterator[ShadowRun]:
    """A candidate that gets samples of `served` for as long as the block; no process is left after it.

    Raises:
        ShadowError: it does not get ready.
        NoShadowError: nothing can be handed to the worker that serves.
        OSError: no process could be started.
    """
    if not served.can_pair:
        raise NoShadowError("this system can not hand a socket to a process that runs")
    run = ShadowRun(served)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            candidate = await _start(order, theirs.fileno(), run)
        watching = None
        try:
            await _wait_ready(candidate)
            _hand_over(served, ours, order.share)
            ours.close()  # the workers have theirs: when one goes, the other notices
            watching = asyncio.create_task(run.watch(candidate), name=f"shadow-{candidate.pid}")
            yield run
        finally:
            served.end_pairing()
            if watching is not None:
                watching.cancel()
            await _end(candidate, at_once=run.trouble is not None or watching is None)


def _hand_over(served: WorkerProcess, connection: socket.socket, share: float) -> None:
    try:
        served.begin_pairing(connection.fileno(), share)
    except OSError as error:
        raise NoShadowError(f"the samples can not be handed to a candidate: {error}") from error


async def _start(order: ShadowOrder, descriptor: int, run: ShadowRun) -> WorkerProcess:
    request = msgspec.structs.replace(order.request, sockets=(descriptor,))
    process = await asyncio.create_subprocess_exec(
        *child_command("shadow"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(),
        pass_fds=(descriptor,),
        limit=LINE_MAX_BYTES,
        **spawn_options(order.identity),
    )
    if process.stdin is not None:
        process.stdin.write(encode_line(request))
    return WorkerProcess(process, request, run.hear)


async def _wait_ready(candidate: WorkerProcess) -> None:
    try:
        await candidate.wait_ready(READY_TIMEOUT_S)
    except WorkerError as error:
        said = error.failed or candidate.failed
        reason = said.reason if said else FailureReason.MODEL_CRASHED
        raise ShadowError(reason, f"in the shadow it does not start: {said.detail if said else error}") from error


async def _end(candidate: WorkerProcess, *, at_once: bool) -> None:
    if at_once:
        candidate.kill()
        await candidate.wait()
    elif candidate.returncode is None:
        await candidate.stop(STOP_S)
