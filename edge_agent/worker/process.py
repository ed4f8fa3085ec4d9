"""The supervisor's side of a worker: hear it, ping it, drain it, end it. `edge_agent.worker.spawning` starts it."""

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from contract.errors import ContractError
from edge_agent.worker import handover, progress
from edge_agent.worker.messages import (
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
    RepositoryAsked,
    Stop,
    ToWorker,
    WorkerRequest,
    decode_from_worker,
    encode_line,
)

if TYPE_CHECKING:
    from edge_agent.frames.keeper import FrameLink

log = logging.getLogger(__name__)

_LAST_WORDS = 20


class WorkerError(Exception):
    """The worker died, hung or said that it can not work; `failed` is its own message where there was one."""

    def __init__(self, text: str, failed: Failed | None = None) -> None:
        """`text` for people."""
        super().__init__(text)
        self.failed = failed


class WorkerProcess:
    """A running worker. All methods belong to the event loop that started it.

    Messages that nobody waits for (windows, rules, a source's end) go to `on_message`.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        request: WorkerRequest,
        on_message: Callable[[FromWorker], None],
        page: progress.ProgressPage | None = None,
        door: socket.socket | None = None,
    ) -> None:
        self._process = process
        self.request = request
        self._page = page
        self._door = door
        self.link: FrameLink | None = None  # to the capture process that gives it frames
        self._completed = 0
        self._on_message = on_message
        self.on_asked: Callable[[RepositoryAsked, WorkerProcess], None] = lambda *_: None  # hears what HTTP clients of it ask for
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Pong | Probed]] = {}
        self._ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._failed: Failed | None = None
        self._drained = asyncio.Event()
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._readers = [
            asyncio.create_task(self._read_messages(), name=f"worker-{process.pid}-messages"),
            asyncio.create_task(self._read_log(), name=f"worker-{process.pid}-log"),
        ]

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        return self._process.returncode

    @property
    def completed(self) -> int:
        """Inferences since its start, as far as is known without asking."""
        if self._page is not None:
            self._completed = max(self._completed, self._page.completed)
        return self._completed

    @property
    def begun_ns(self) -> int:
        """When the inference under way began (`time.monotonic_ns`); 0 where there is none or it is not known."""
        return self._page.begun_ns if self._page is not None else 0

    @property
    def latency_us(self) -> float:
        """What one undisturbed inference takes, as measured before it was ready; 0 before that."""
        return self._ready.result().latency_us if self._ready.done() and self._ready.exception() is None else 0.0

    @property
    def failed(self) -> Failed | None:
        """What the worker said before it gave up."""
        return self._failed

    async def wait_ready(self, timeout_s: float) -> Ready:
        """Wait until the worker serves.

        Raises:
            WorkerError: it died, said that it can not work, or took longer.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), timeout_s)
        except asyncio.TimeoutError as error:
            raise WorkerError(f"the worker was not ready after {timeout_s:g} s") from error

    async def ping(self, timeout_s: float) -> Pong:
        """Ask whether the worker gets work done.

        Raises:
            WorkerError: no answer in time (it hangs), or it died.
        """
        answer = await self._ask(Ping(next(self._ids)), timeout_s)
        if not isinstance(answer, Pong):
            raise WorkerError("the worker answered a ping with something else")
        self._completed = max(self._completed, answer.completed)
        return answer

    async def probe(self, timeout_s: float) -> Probed:
        """One golden sample through the running engine; raises as `ping`."""
        answer = await self._ask(Probe(next(self._ids)), timeout_s)
        if not isinstance(answer, Probed):
            raise WorkerError("the worker answered a probe with something else")
        return answer

    def flush(self) -> None:
        """Ask for the window so far; it comes through `on_message`."""
        self._send(Flush())

    @property
    def can_pair(self) -> bool:
        """Whether a socket can be handed to it."""
        return self._door is not None

    def begin_pairing(self, descriptor: int, share: float) -> None:
        """Let it hand a share of its samples and answers to the other end of this socket, of which it gets a copy.

        Raises:
            OSError: it can not be handed over.
        """
        if self._door is None:
            raise OSError("this system can not hand a socket to a process that runs")
        handover.hand_over(self._door, (descriptor,))
        self._send(BeginPairing(share))

    def answer(self, answered: RepositoryAnswered) -> None:
        """Tell what became of what it asked for."""
        self._send(answered)

    def end_pairing(self) -> None:
        """Let it hand no more; allowed at any time."""
        self._send(EndPairing())

    async def drain(self, timeout_s: float) -> None:
        """Let it finish what is under way and end; after `timeout_s` it is killed."""
        self._send(Drain())
        await self._end(timeout_s)

    async def stop(self, timeout_s: float = 1.0) -> None:
        """End it now; after `timeout_s` it is killed."""
        self._send(Stop())
        await self._end(timeout_s)

    def kill(self) -> None:
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> int:
        """Wait for its end; every message it sent was delivered before this returns. Gives the exit status."""
        code = await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._close_page()
        return code

    def _close_page(self) -> None:
        page, self._page = self._page, None
        if self._door is not None:
            self._door.close()
        if page is not None:
            self._completed = max(self._completed, page.completed)
            page.close()

    async def _end(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(self._process.wait()), timeout_s)
        except asyncio.TimeoutError:
            log.warning("worker %s did not end within %g s and is killed", self.pid, timeout_s)
            self.kill()
        await self.wait()

    async def _ask(self, message: Ping | Probe, timeout_s: float) -> Pong | Probed:
        future: asyncio.Future[Pong | Probed] = asyncio.get_running_loop().create_future()
        self._answers[message.id] = future
        try:
            if self.returncode is not None:
                raise WorkerError(self._obituary())
            self._send(message)
            return await asyncio.wait_for(future, timeout_s)
        except asyncio.TimeoutError as error:
            raise WorkerError(f"the worker gave no answer within {timeout_s:g} s") from error
        finally:
            self._answers.pop(message.id, None)

    def _send(self, message: ToWorker) -> None:
        stdin = self._process.stdin
        if stdin is not None and not stdin.is_closing() and self.returncode is None:
            stdin.write(encode_line(message))

    async def _read_messages(self) -> None:
        stdout = self._process.stdout
        try:
            while stdout is not None and (line := await stdout.readline()):
                self._take(decode_from_worker(line))
        except (ContractError, ValueError) as error:  # ValueError: a line above the reader's limit
            log.error("worker %s speaks nonsense and is killed: %s", self.pid, error)  # noqa: TRY400
            self.kill()
        await self._process.wait()
        self._give_up()

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Ready):
            if not self._ready.done():
                self._ready.set_result(message)
        elif isinstance(message, (Pong, Probed)):
            future = self._answers.get(message.id)
            if future is not None and not future.done():
                future.set_result(message)
        elif isinstance(message, Failed):
            self._failed = message
        elif isinstance(message, RepositoryAsked):
            self.on_asked(message, self)
        elif isinstance(message, Drained):
            self._drained.set()
        else:
            self._on_message(message)

    def _give_up(self) -> None:
        error = WorkerError(self._obituary(), self._failed)
        for future in self._answers.values():
            if not future.done():
                future.set_exception(error)
        if not self._ready.done():
            self._ready.set_exception(error)
        if self._ready.done():
            self._ready.exception()  # looked at, so that an unread one is not complained about

    def _obituary(self) -> str:
        if self._failed is not None:
            return f"the worker gave up: {self._failed.detail}"
        code = self.returncode
        if code is not None and code < 0:
            return f"the worker was ended by {signal.Signals(-code).name}"
        return f"the worker ended with exit status {code}"

    async def _read_log(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (chunk := await stderr.read(1 << 16)):
            for line in chunk.decode(errors="replace").splitlines():
                self.last_words.append(line[:500])
                log.info("worker %s: %s", self.pid, line[:500])
