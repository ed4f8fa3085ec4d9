"""Keeps one slot's worker alive: starts it, swaps it without a gap, restarts it after a crash or a hang.

The listening sockets belong to the slot and outlive every worker: while one starts, connections
wait in the backlog.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from contract.application import Application
from contract.errors import ContractError
from contract.states import FailureReason
from edge_agent.frames.keeper import FrameKeeper
from edge_agent.update.records import Installed
from edge_agent.worker.child_identity import ChildIdentity
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.messages import Access, FromWorker, RepositoryAsked, WorkerRequest
from edge_agent.worker.preloading import Expected
from edge_agent.worker.process import WorkerError, WorkerProcess
from edge_agent.worker.spawning import start_worker
from edge_agent.worker_lives import WorkerLives
from edge_agent.worker_trouble import Suspicion, wait_for_trouble

READY_TIMEOUT_S = 60.0
DRAIN_S = 5.0
SUSPECT_AGAIN_S = 60.0

log = logging.getLogger(__name__)


class StartError(Exception):
    """A worker did not get ready."""

    def __init__(self, reason: FailureReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Serving(NamedTuple):
    """A version as a worker needs it."""

    installed: Installed
    folder: Path
    application: Application | None = None


class Manner(NamedTuple):
    """How a version is run."""

    variant: str
    threads: int


class KeeperSettings(NamedTuple):
    """What is the same for all workers of a slot."""

    slot: str
    sockets: tuple[int, ...]
    data_folder: Path
    threads: int = 1
    access: Access = Access()
    deadline_s: float = 30.0
    inference_deadline_ms: float = 0.0  # 0: found out from the model's latency
    window_s: float = 3600.0  # the supervisor asks for windows itself, as often as the fleet wants them
    identity: ChildIdentity | None = None  # None: workers run as the supervisor does
    plain_frames: bool = False  # frames go over a stream even where slots exist
    load_unload: bool = False  # whether HTTP may ask to load and unload


async def _nobody_in_the_way() -> None:
    """Where nobody else answers at the slot's sockets."""


class WorkerKeeper:
    """The worker of one slot."""

    def __init__(
        self, settings: KeeperSettings, on_message: Callable[[Serving, FromWorker], None], on_crash: Callable[[str], None]
    ) -> None:
        """`on_message` hears what workers measure, `on_crash` that one ended or hung, in words."""
        self.settings = settings
        self._on_message = on_message
        self._on_crash = on_crash
        self._worker: WorkerProcess | None = None
        self._serving: Serving | None = None
        self._guard: asyncio.Task[None] | None = None
        self._ends: set[asyncio.Task[object]] = set()
        self.tuned: Callable[[Installed], Manner | None] = lambda _: None
        self.untune: Callable[[Installed], None] = lambda _: None
        self._completed_before = 0
        self.on_asked: Callable[[RepositoryAsked, WorkerProcess], None] = lambda *_: None
        self.make_way: Callable[[], Awaitable[None]] = _nobody_in_the_way  # awaited before a worker that is ready counts as serving
        self.unloaded = False  # over HTTP: the worker answers without its model
        self.lives = WorkerLives()
        self.frames = FrameKeeper(settings.data_folder, plain=settings.plain_frames)
        self.early = EarlyStart()
        self._acquitted_s = -SUSPECT_AGAIN_S

    @property
    def completed(self) -> int:
        """Inferences of this slot since the agent's start, as far as is known without asking."""
        return self._completed_before + (self._worker.completed if self._worker is not None else 0)

    @property
    def serving(self) -> Serving | None:
        """What should serve; None where nothing does."""
        return self._serving

    @property
    def pid(self) -> int | None:
        """Process id of the worker that answers; None while there is none."""
        return self._worker.pid if self.is_answering and self._worker else None

    @property
    def is_answering(self) -> bool:
        """Whether a ready worker runs."""
        return self._worker is not None and self._worker.returncode is None

    @property
    def wants_to_serve(self) -> bool:
        """Whether anything should serve here."""
        return self._serving is not None

    @property
    def is_cared_for(self) -> bool:
        """Whether a task looks after the worker, or is about to start another."""
        return self._guard is not None and not self._guard.done()

    async def probe(self, timeout_s: float) -> str:
        """One golden sample through the worker; returns what was wrong, empty where it was answered rightly.

        A worker that answers it wrongly is ended, so that another takes its place.
        """
        worker = self._worker
        if worker is None:
            return "there is no worker"
        try:
            probed = await worker.probe(timeout_s)
        except WorkerError as error:
            return "" if worker is not self._worker or worker.returncode is not None else str(error)  # replaced meanwhile
        if probed.passed:
            return ""
        worker.kill()
        return f"a golden sample was answered wrongly (difference {probed.max_difference:.3g}), the worker is replaced"

    async def serve(self, serving: Serving) -> None:
        """Start a worker for a version; once it is ready the one before drains and ends.

        Raises:
            StartError: it did not get ready; what served before still does.
        """
        unloaded, self.unloaded = self.unloaded, False
        try:
            worker = await self._start(serving)
        except BaseException:
            self.unloaded = unloaded
            raise
        self._serving = serving
        self._take_on(worker, serving)

    async def keep_serving(self, serving: Serving) -> None:
        """Serve a version that is known to be good, trying again for as long as it does not start."""
        self._serving = serving
        try:
            await self.serve(serving)
        except StartError as error:
            self._note_no_start(serving, error)
            self._guard_by(self._restart(serving))

    def _guard_by(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` look after the worker from now on, and nobody else."""
        guard, self._guard = self._guard, asyncio.create_task(work, name=f"guard-{self.settings.slot}")
        if guard is not None and guard is not asyncio.current_task():
            guard.cancel()

    def flush(self) -> None:
        """Ask the worker for what it measured so far."""
        if self._worker is not None and self.is_answering:
            self._worker.flush()

    async def stop(self) -> None:
        """End the worker; nothing serves any more."""
        guard, worker, self._serving = self._guard, self._worker, None
        self._guard = self._worker = None
        if guard is not None:
            guard.cancel()
            await asyncio.wait([guard])
        if worker is not None:
            worker.flush()
            await worker.stop(1.0)
        if self._ends:
            await asyncio.wait(self._ends, timeout=DRAIN_S)
        await self.early.close()
        await self.frames.stop()

    @property
    def manner(self) -> Manner | None:
        """How the version that answers runs; None while none does."""
        return Manner(self._worker.request.variant, self._worker.request.threads) if self._worker and self.is_answering else None

    async def _start(self, serving: Serving) -> WorkerProcess:
        """In the manner that was tuned; where that does not start, in the usual one."""
        tuned = self.tuned(serving.installed)
        if tuned is not None:
            try:
                return await self._start_as(serving, tuned)
            except StartError as error:
                log.warning("Slot %s: as it was tuned (%s) it does not start: %s", self.settings.slot, tuned.variant, error.detail)
                self.untune(serving.installed)
        return await self._start_as(serving, Manner(serving.installed.variant, self.settings.threads))

    @property
    def worker(self) -> WorkerProcess | None:
        """The worker that answers; None while there is none."""
        return self._worker if self.is_answering else None

    def request_for(self, serving: Serving, manner: Manner) -> WorkerRequest:
        """The first line to a worker of this slot."""
        return WorkerRequest(
            package_folder=str(serving.folder),
            digest=serving.installed.model.digest,
            variant=manner.variant,
            slot=self.settings.slot,
            threads=manner.threads,
            engines_folder=str(self.settings.data_folder / "engines" / serving.installed.model.digest),
            application=serving.application,
            sockets=self.settings.sockets,
            access=self.settings.access,
            deadline_s=self.settings.deadline_s,
            data_folder=str(self.settings.data_folder),
            window_s=self.settings.window_s,
        )

    async def _start_as(self, serving: Serving, manner: Manner) -> WorkerProcess:
        begun_s = time.monotonic()
        worker = await self._spawn(serving, manner)
        try:
            await worker.wait_ready(READY_TIMEOUT_S)
            await self.make_way()
        except WorkerError as error:
            worker.kill()
            await worker.wait()
            said = error.failed or worker.failed
            raise StartError(said.reason if said else FailureReason.MODEL_CRASHED, said.detail if said else str(error)) from error
        except BaseException:
            worker.kill()
            self._await_end(worker.wait(), worker)
            raise
        self.lives.start_took_s = time.monotonic() - begun_s
        return worker

    async def _spawn(self, serving: Serving, manner: Manner) -> WorkerProcess:
        link = self.frames.link(serving.application, serving, self.settings.identity, lambda message: self._on_message(serving, message))
        request = msgspec.structs.replace(
            self.request_for(serving, manner),
            frames=link.theirs.fileno() if link is not None else -1,
            load_unload=self.settings.load_unload,
            unloaded=self.unloaded,
        )
        identity = self._identity_for(serving, opens_source=link is None)
        try:
            early = await self.early.take()
            worker = await start_worker(request, lambda message: self._on_message(serving, message), identity, early)
        except BaseException as error:
            if link is not None:
                self.frames.unlink(link)
            if isinstance(error, (OSError, ContractError)):
                raise StartError(FailureReason.INTERNAL, f"no process could be started: {error}") from error
            raise
        worker.on_asked = self.on_asked
        if link is not None:
            worker.link = link
            self.frames.unlink_after(link, worker.wait())
        return worker

    def _identity_for(self, serving: Serving, *, opens_source: bool) -> ChildIdentity | None:
        application, identity = serving.application, self.settings.identity
        if identity is None or application is None:
            return identity
        kinds = {sink.kind for sink in application.sinks}
        return identity.with_devices({application.source.kind, *kinds} if opens_source else kinds)

    async def _watch(self, worker: WorkerProcess, serving: Serving) -> None:
        """Ping the worker; when it ends or hangs, put another in its place."""
        end = asyncio.ensure_future(worker.wait())
        try:
            suspicion = Suspicion(partial(self._suspect, worker, serving), self._acquit)
            cause = await wait_for_trouble(worker, end, self.settings.inference_deadline_ms, suspicion)
        finally:
            end.cancel()
        worker.kill()
        await worker.wait()
        self.lives.ended(serving.installed, cause)
        self._say_crash(serving, cause)
        await self._restart(serving)

    def _suspect(self, worker: WorkerProcess, serving: Serving) -> None:
        """While a worker may hang, another begins early; one that answered after all is not suspected again soon."""
        if time.monotonic() - self._acquitted_s > SUSPECT_AGAIN_S:
            expected = Expected(worker.request.variant, worker.request.application is not None)
            self.early.begin(expected, self._identity_for(serving, opens_source=worker.link is None))

    def _acquit(self) -> None:
        self._acquitted_s = time.monotonic()
        self.early.drop()

    async def _restart(self, serving: Serving) -> None:
        """Until it is ready: at once, and after growing waits where it ends again and again."""
        while True:
            if self.lives.wait_s:
                self.untune(serving.installed)
                await asyncio.sleep(self.lives.wait_s)
            try:
                worker = await self._start(serving)
            except StartError as error:
                self._note_no_start(serving, error)
                continue
            self._take_on(worker, serving)
            return

    def _take_on(self, worker: WorkerProcess, serving: Serving) -> None:
        """From now on this worker serves; the one before drains and ends, if it has not."""
        self.lives.began()
        self._completed_before = self.completed
        before, self._worker = self._worker, worker
        self.early.drop()
        self._guard_by(self._watch(worker, serving))
        self.frames.keep_only(worker.link)
        if before is not None:
            self._await_end(before.drain(DRAIN_S) if before.returncode is None else before.wait(), before)

    def _await_end(self, end: Coroutine[Any, Any, object], worker: WorkerProcess) -> None:
        task = asyncio.create_task(end, name=f"end-{worker.pid}")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def _note_no_start(self, serving: Serving, error: StartError) -> None:
        cause = f"does not start: {error.detail}"
        self.lives.did_not_begin(serving.installed, cause)
        self._say_crash(serving, cause)

    def _say_crash(self, serving: Serving, cause: str) -> None:
        model = serving.installed.model
        text = f"the worker of {model.model} {model.version} {cause}"
        log.warning("Slot %s: %s", self.settings.slot, text)
        self._on_crash(text)
