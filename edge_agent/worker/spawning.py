"""Starts worker processes: with their request at once, or early, before it is known what they shall serve.

To import numpy and a runtime takes longer than all else of a worker's start. A worker that was begun early
does that meanwhile; its sockets and the doorbell of its frames are handed to it together with its request.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from edge_agent.worker import handover, progress
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment
from edge_agent.worker.handed_files import handed
from edge_agent.worker.messages import LINE_MAX_BYTES, FromWorker, WorkerRequest, encode_line
from edge_agent.worker.preloading import Expected, environment_for
from edge_agent.worker.process import WorkerProcess

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A process, the page on which it shows its progress and the supervisor's end of its door."""

    process: asyncio.subprocess.Process
    page: progress.ProgressPage | None
    door: socket.socket | None

    def forget(self) -> None:
        """Close what the supervisor holds of it."""
        for opened in (self.page, self.door):
            if opened is not None:
                opened.close()


class EarlyWorker:
    """A worker process that waits for its request. It is given one by `start_worker`, or ended by `discard`."""

    def __init__(self, begun: Begun, identity: ChildIdentity | None) -> None:
        self.begun = begun
        self._identity = identity

    def fits(self, request: WorkerRequest, identity: ChildIdentity | None) -> bool:
        """Whether it lives and may serve this; files of TLS are handed only to a process that inherits them."""
        handed_files = identity is not None and bool(request.access.tls_key)
        return self.begun.process.returncode is None and identity == self._identity and not handed_files

    async def discard(self) -> None:
        """End it."""
        if self.begun.process.returncode is None:
            self.begun.process.kill()
        await self.begun.process.communicate()
        self.begun.forget()


async def begin_early(expected: Expected, identity: ChildIdentity | None = None) -> EarlyWorker | None:
    """Begin a worker that imports what it is expected to need; None where sockets can not be handed to a process that runs.

    Raises:
        OSError: the process can not be started.
    """
    if not handover.doors_exist():
        return None
    return EarlyWorker(await _begin((), identity, environment_for(expected)), identity)


async def start_worker(
    request: WorkerRequest,
    on_message: Callable[[FromWorker], None],
    identity: ChildIdentity | None = None,
    early: EarlyWorker | None = None,
) -> WorkerProcess:
    """Start a worker; the caller keeps its own copies of `request.sockets` open. `identity`: who it is, None the caller.

    `early` is used where it fits, and ended where it does not.

    Raises:
        OSError: the process can not be started.
    """
    if early is not None and (worker := _give(request, on_message, identity, early)) is not None:
        return worker
    if early is not None:
        await early.discard()
    for descriptor in request.sockets:
        os.fstat(descriptor)
    inherited = (*request.sockets, *((request.frames,) if request.frames >= 0 else ()))
    if identity is None:
        return _send(request, on_message, await _begin(inherited, None))
    with handed(request.access) as (access, files):
        request = msgspec.structs.replace(request, access=access)
        return _send(request, on_message, await _begin((*inherited, *files), identity))


def _give(
    request: WorkerRequest, on_message: Callable[[FromWorker], None], identity: ChildIdentity | None, early: EarlyWorker
) -> WorkerProcess | None:
    """Let an early worker serve a request; None where it can not."""
    door = early.begun.door
    if door is None or not early.fits(request, identity):
        return None
    try:
        handover.hand_over(door, (*request.sockets, *((request.frames,) if request.frames >= 0 else ())))
    except OSError as error:
        log.warning("a worker that was begun early takes nothing (%s); another is started", error)
        return None
    return _send(msgspec.structs.replace(request, handed=True), on_message, early.begun)


def _send(request: WorkerRequest, on_message: Callable[[FromWorker], None], begun: Begun) -> WorkerProcess:
    worker = WorkerProcess(begun.process, request, on_message, begun.page, begun.door)
    if begun.process.stdin is not None:
        begun.process.stdin.write(encode_line(request))
    return worker


async def _begin(inherited: tuple[int, ...], identity: ChildIdentity | None, environment: dict[str, str] | None = None) -> Begun:
    made = progress.make_page()
    page, descriptor = made if made is not None else (None, -1)
    ours, theirs = handover.make_door() or (None, None)
    try:
        process = await asyncio.create_subprocess_exec(
            *child_command("worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **child_environment(),
                **progress.environment_for(descriptor),
                **handover.environment_for(theirs),
                **(environment or {}),
            },
            pass_fds=(*inherited, *((descriptor,) if descriptor >= 0 else ()), *((theirs.fileno(),) if theirs is not None else ())),
            limit=LINE_MAX_BYTES,
            **spawn_options(identity),
        )
    except BaseException:
        for opened in (page, ours):
            if opened is not None:
                opened.close()
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if theirs is not None:
            theirs.close()
    return Begun(process, page, ours)
