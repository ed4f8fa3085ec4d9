"""The supervisor's side of a capture process: start it, hand it doorbells, hear how its source does, end it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from edge_agent.frames.messages import CaptureRequest
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment

END_S = 2.0
GIVEN, ENDED, FAILED = "given", "ended", "failed"
"""What the process says: its source gave the first sample, came to its end, failed for good."""
HERE = "here"
"""Its answer to a question, followed by the seconds for which the device of a live source has given nothing."""
JOIN, ASK = b"j", b"a"
"""What it is told, a byte each: here is a doorbell, are you there?"""
_LINE_MAX_BYTES = 1 << 16

log = logging.getLogger(__name__)


class CaptureProcess:
    """A running capture process. `said` hears its words."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, said: Callable[[str], None]) -> None:
        self._process = process
        self._control = control
        self._said = said
        self._answer: asyncio.Future[float] | None = None
        self._word = ""  # its last one
        self._readers = [
            asyncio.create_task(self._read_words(), name=f"capture-{process.pid}-words"),
            asyncio.create_task(self._read_log(), name=f"capture-{process.pid}-log"),
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
    def has_given(self) -> bool:
        """Whether its source gave a sample, and goes on."""
        return self._word == GIVEN

    @property
    def is_over(self) -> bool:
        """Whether its source is; the process stays to tell whoever comes later."""
        return self._word in {ENDED, FAILED}

    def join(self, end: socket.socket) -> None:
        """Hand it a copy of its end of a worker's doorbell."""
        with contextlib.suppress(OSError):  # it ended; whoever takes its place is handed all of them
            socket.send_fds(self._control, [JOIN], [end.fileno()])

    def ask(self) -> "asyncio.Future[float]":
        """Ask its event loop for a sign of life; gives for how many seconds the device of a live source has given nothing."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            with contextlib.suppress(OSError):  # it ended
                self._control.send(ASK)
        return self._answer

    async def wait(self) -> int:
        """Wait for its end; gives the exit status."""
        code = await self._process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._control.close()
        return code

    async def stop(self) -> None:
        """Let it close its device and end; after two seconds it is killed."""
        self._control.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._process.wait()), END_S)
        except asyncio.TimeoutError:
            log.warning("the capture process %s did not end within %g s and is killed", self.pid, END_S)
            self.kill()
        await self.wait()

    def kill(self) -> None:
        """SIGKILL, for its own children as well: a recorder keeps the device."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _read_words(self) -> None:
        stdout = self._process.stdout
        with contextlib.suppress(ValueError):  # a line without end
            while stdout is not None and (line := await stdout.readline()):
                self._hear(line.decode(errors="replace").strip())

    def _hear(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word != HERE:
            self._word = line
            self._said(line)
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(float(rest))

    async def _read_log(self) -> None:
        stderr = self._process.stderr
        while stderr is not None and (chunk := await stderr.read(1 << 16)):
            for line in chunk.decode(errors="replace").splitlines():
                log.info("capture process %s: %s", self.pid, line[:500])


async def start_capture(request: CaptureRequest, said: Callable[[str], None], identity: ChildIdentity | None = None) -> CaptureProcess:
    """Start a capture process; `identity`: who it is, None the caller.

    Raises:
        OSError: it can not be started.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *child_command("capture"),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=child_environment(),
                limit=_LINE_MAX_BYTES,
                start_new_session=True,
                **spawn_options(identity),
            )
        data = msgspec.msgpack.encode(request)
        ours.sendall(len(data).to_bytes(4, "little") + data)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return CaptureProcess(process, ours, said)
