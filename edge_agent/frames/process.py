"""The supervisor's side of a capture process: start it, hand it doorbells, hear how its source does, end it."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

import msgspec

from edge_agent.frames.messages import CaptureRequest
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment

END_S = 2.0
GIVEN, ENDED, FAILED = "given", "ended", "failed"
"""What the process says: its source gave the first sample, came to its end, failed for good."""
_LINE_MAX_BYTES = 1 << 16

log = logging.getLogger(__name__)


class CaptureProcess:
    """A running capture process. `said` hears its words."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket, said: Callable[[str], None]) -> None:
        self._process = process
        self._control = control
        self._said = said
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

    def join(self, end: socket.socket) -> None:
        """Hand it a copy of its end of a worker's doorbell."""
        with contextlib.suppress(OSError):  # it ended; whoever takes its place is handed all of them
            socket.send_fds(self._control, [b"j"], [end.fileno()])

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
        """SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read_words(self) -> None:
        stdout = self._process.stdout
        with contextlib.suppress(ValueError):  # a line without end
            while stdout is not None and (line := await stdout.readline()):
                self._said(line.decode(errors="replace").strip())

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
                **spawn_options(identity),
            )
        data = msgspec.msgpack.encode(request)
        ours.sendall(len(data).to_bytes(4, "little") + data)
    except BaseException:
        ours.close()
        raise
    ours.setblocking(False)
    return CaptureProcess(process, ours, said)
