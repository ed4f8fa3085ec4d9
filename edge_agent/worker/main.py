"""The worker's process: `python -m edge_agent.worker.main`, started by `edge_agent.worker.process`.

It ends when its stdin closes or its parent dies, so a killed supervisor leaves nothing behind.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from contract.errors import ContractError
from contract.states import FailureReason
from edge_agent.engine.accelerators import split_name
from edge_agent.engine.errors import EngineError, InferenceError, ModelRefusedError, RuntimeAbsentError, StepRefusedError
from edge_agent.engine.golden import check_golden
from edge_agent.home import Home
from edge_agent.serving.listeners import ListenerError, Listeners, open_listeners
from edge_agent.serving.model_repository import ModelRepository
from edge_agent.serving.service import Service
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import claim_stdout, end_with_parent
from edge_agent.worker.handover import inherited_door, take_all
from edge_agent.worker.inference import Inference
from edge_agent.worker.messages import (
    LINE_MAX_BYTES,
    BeginPairing,
    Drain,
    Drained,
    EndPairing,
    Failed,
    Flush,
    FromWorker,
    Ping,
    Pong,
    Probe,
    Probed,
    Ready,
    RepositoryAnswered,
    Stop,
    ToWorker,
    WorkerRequest,
    decode_request,
    decode_to_worker,
    encode_line,
)
from edge_agent.worker.named_tasks import NamedTasks
from edge_agent.worker.opening import OpenedModel, open_model
from edge_agent.worker.preloading import preload
from edge_agent.worker.progress import open_inherited
from edge_agent.worker.shadow_tap import obey_pairing
from edge_agent.worker.windows import WindowRecorder

if TYPE_CHECKING:
    from edge_agent.worker.application_loop import ApplicationLoop

log = logging.getLogger(__name__)


class Worker:
    """One model at work: its control channel, windows, application and listeners."""

    def __init__(self, request: WorkerRequest, opened: OpenedModel, channel: asyncio.WriteTransport) -> None:
        self._request = request
        self._opened = opened
        self._channel = channel
        loop = asyncio.get_running_loop()
        recorder = WindowRecorder(opened.package.manifest.labels, opened.reference, loop.time())
        self._recorder = recorder
        self._inference = Inference(opened.engine, recorder, latency_us=opened.latency_us, queue_length=request.queue_length)
        self._service = Service(self._inference, opened.package.manifest, opened.variant, request.max_body_bytes, request.deadline_s)
        self._door = inherited_door()
        self._listeners: Listeners | None = None
        self._application: ApplicationLoop | None = None
        self._tasks = NamedTasks(self._give_up)
        self.ended = asyncio.Event()

    def send(self, message: FromWorker) -> None:
        """One line to the supervisor; never blocks."""
        self._channel.write(encode_line(message))

    async def serve(self, lines: asyncio.StreamReader, begun_s: float) -> None:
        """Serve until told to end, or until the supervisor is gone."""
        request, manifest = self._request, self._opened.package.manifest
        self._service.status_file = Home(Path(request.data_folder)).status
        if request.load_unload:
            self._service.repository = ModelRepository(self.send, lambda: self._tasks.start(self._unload(), "unload"))
        if request.unloaded:
            await self._unload()
        else:
            self._application = self._make_application()
        try:
            sockets = [socket.socket(fileno=descriptor) for descriptor in request.sockets]
            self._listeners = await open_listeners(sockets, self._service, request.access)
        except (ListenerError, OSError) as error:
            self.send(Failed(FailureReason.INTERNAL, str(error)))
            await self._close()
            return
        ready = Ready(
            manifest.name,
            manifest.version,
            request.digest,
            self._opened.variant,
            os.getpid(),
            time.monotonic() - begun_s,
            self._opened.latency_us,
        )
        self.send(ready)
        self._tasks.start(self._turn_windows(), "windows")
        if self._application is not None:
            self._tasks.start(self._application.run(Path(request.data_folder), self.send), "application")
        self._tasks.start(self._read_control(lines), "control")
        await self.ended.wait()
        await self._close()

    def _make_application(self) -> "ApplicationLoop | None":
        """Made before anything is accepted: what it imports would hold up the first requests."""
        request = self._request
        if request.application is None:
            return None
        from edge_agent.worker.application_loop import ApplicationLoop  # sources and sinks: most workers have none

        manifest, variant = self._opened.package.manifest, self._opened.variant
        application = ApplicationLoop(request.application, self._inference, manifest, variant, request.slot, frames=request.frames)
        self._service.metrics.sinks = application.sinks
        return application

    def _give_up(self, why: str) -> None:
        self.send(Failed(FailureReason.INTERNAL, why))
        self.ended.set()

    async def _turn_windows(self) -> None:
        while True:
            await asyncio.sleep(self._request.window_s)
            self._close_window()

    def _close_window(self) -> None:
        stats = self._recorder.close(asyncio.get_running_loop().time())
        if stats is not None:
            self.send(stats)

    async def _read_control(self, lines: asyncio.StreamReader) -> None:
        while line := await lines.readline():
            await self._obey(decode_to_worker(line))
        self.ended.set()  # the supervisor is gone

    async def _obey(self, message: ToWorker) -> None:
        if isinstance(message, Ping):
            await self._inference.settle()
            self.send(Pong(message.id, self._recorder.completed))
        elif isinstance(message, Probe):
            self.send(await self._probe(message))
        elif isinstance(message, Flush):
            self._close_window()
        elif isinstance(message, Drain):
            self._tasks.start(self._drain(), "drain")
        elif isinstance(message, Stop):
            self.ended.set()
        elif isinstance(message, (BeginPairing, EndPairing)):
            await obey_pairing(message, self._door, self._inference)
        elif isinstance(message, RepositoryAnswered) and self._service.repository is not None:
            self._service.repository.hear(message)

    async def _unload(self) -> None:
        """Answer what is under way, end the application and give the model's memory back; this process goes on."""
        self._service.unload()
        applications = self._leave_application()
        if applications:
            await asyncio.wait(applications, timeout=self._request.drain_s)
            for task in applications:
                task.cancel()
            await asyncio.wait(applications)
        while self._inference.under_way:
            await self._inference.settle()
            await asyncio.sleep(0)
        async with self._inference.exclusive() as engine:
            engine.close()

    async def _probe(self, message: Probe) -> Probed:
        if self._service.unloaded:
            return Probed(message.id, passed=True, max_difference=0.0, latency_us=0.0)
        variant = split_name(self._opened.variant).variant
        sample = self._opened.golden[:1]
        try:
            async with self._inference.exclusive() as engine:
                result = check_golden(engine, sample, variant, self._opened.package.manifest.variants[variant])
        except InferenceError as error:
            log.error("a golden sample failed: %s", error)  # noqa: TRY400
            return Probed(message.id, passed=False, max_difference=-1.0, latency_us=0.0)
        return Probed(message.id, result.passed, result.max_difference, result.latencies_us[0])

    def _leave_application(self) -> "list[asyncio.Task[None]]":
        """Let the application end; returns its task, if it has one."""
        applications = self._tasks.named("application")
        if self._application is None or not self._application.leave():
            for task in applications:
                task.cancel()
        return applications

    async def _drain(self) -> None:
        applications = self._leave_application()
        if self._listeners is not None:
            await self._listeners.drain(self._request.drain_s)
        if applications:
            await asyncio.wait(applications, timeout=self._request.drain_s)
        self._close_window()
        self.send(Drained())
        self.ended.set()

    async def _close(self) -> None:
        self._tasks.cancel()
        if self._listeners is not None:
            self._listeners.close()
        self._inference.close()
        self._channel.close()
        await asyncio.sleep(0)


def _take_handed(request: WorkerRequest) -> WorkerRequest:
    """The request with this process's own numbers of what came over its door; raises `OSError`."""
    if not request.handed:
        return request
    door = inherited_door()
    if door is None:
        raise OSError("sockets were promised, but there is no door for them")
    has_frames = request.frames >= 0
    taken = take_all(door, len(request.sockets) + has_frames)
    sockets, frames = taken[: len(request.sockets)], taken[-1] if has_frames else -1
    return msgspec.structs.replace(request, sockets=sockets, frames=frames)


def _failure(error: Exception) -> Failed:
    if isinstance(error, (RuntimeAbsentError, ModelRefusedError, StepRefusedError, KeyError)):
        return Failed(FailureReason.INCOMPATIBLE, str(error))
    if isinstance(error, EngineError):
        return Failed(FailureReason.MODEL_CRASHED, str(error))
    if isinstance(error, ContractError):
        return Failed(FailureReason.NOT_TRUSTED, str(error))
    return Failed(FailureReason.INTERNAL, f"{type(error).__name__}: {error}")


class Child(Protocol):
    """What this process is for the supervisor."""

    ended: asyncio.Event

    async def serve(self, lines: asyncio.StreamReader, begun_s: float) -> None:
        """Work until told to end, or until the supervisor is gone."""


async def _run(channel_descriptor: int, begun_s: float, make: Callable[[WorkerRequest, OpenedModel, asyncio.WriteTransport], Child]) -> int:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=LINE_MAX_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    channel, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(channel_descriptor, "wb", 0))
    preload()
    line = await lines.readline()
    if not line:
        return 0
    try:
        request = _take_handed(decode_request(line))
        opened = open_model(request)
        if (page := open_inherited()) is not None:
            page.watch(opened.engine)
        worker = make(request, opened, channel)
    except (ContractError, EngineError, OSError, KeyError) as error:
        channel.write(encode_line(_failure(error)))
        channel.close()
        await asyncio.sleep(0)
        return 1
    with contextlib.suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGTERM, worker.ended.set)
    await worker.serve(lines, begun_s)
    return 0


def _run_loop(main: Coroutine[Any, Any, int]) -> int:
    if sys.platform != "linux":
        return asyncio.run(main)
    from edge_agent.worker.busy_polling import run  # epoll

    return run(main)


def main(make: Callable[[WorkerRequest, OpenedModel, asyncio.WriteTransport], Child] = Worker) -> None:
    """Entry point of the child; `make` says what it does with the opened model."""
    begun_s = time.monotonic()
    end_with_parent()
    confine()
    channel = claim_stdout()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    with contextlib.suppress(msgspec.DecodeError):
        sys.exit(_run_loop(_run(channel, begun_s, make)))


if __name__ == "__main__":
    main()
