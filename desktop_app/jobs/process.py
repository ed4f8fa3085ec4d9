"""The parent's side of a job: start the child, read its events, cancel it, learn how it ended. No Qt here."""

import collections
import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from desktop_app.jobs.child import Request
from desktop_app.jobs.events import AnyEvent, Cancelled, Done, Event, Failed, Outcome
from desktop_app.jobs.requests import Job, job_name

CANCEL_GRACE_S = 0.5
EXIT_GRACE_S = 10.0
LAST_WORDS_S = 2.0
LOG_MAX_LINES = 400
LINE_MAX_BYTES = 64 << 20
_DECODER = msgspec.json.Decoder(AnyEvent)


class JobProcess:
    """One job in a child process of a process group of its own.

    Iterate over it for its events, the last of which is `Done`, `Failed` or `Cancelled`; or call
    `wait`. As a context manager it leaves no process behind.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", job: Job) -> None:
        self.job = job
        self.pid = process.pid
        self._process = process
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_MAX_LINES)
        self._cancelling = threading.Event()
        self._ended = threading.Event()
        self._outcome: Outcome | None = None
        self._threads = [
            threading.Thread(target=target, name=f"job-{job_name(job)}-{name}", daemon=True)
            for name, target in (("events", self._read_events), ("log", self._read_log), ("end", self._watch_end))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def log(self) -> str:
        """The last lines that the job's libraries printed."""
        return "".join(self._log)

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return not self._ended.is_set()

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they come; ends after the outcome."""
        while self._outcome is None:
            event = self._events.get()
            if isinstance(event, Done | Failed | Cancelled):
                self._outcome = event
            yield event

    def wait(self) -> Outcome:
        """Wait for the end, dropping the events that nobody read."""
        for _ in self:
            pass
        for thread in self._threads:
            thread.join(LAST_WORDS_S)  # a process that left the group may hold a pipe open; nobody waits for it
        if self._outcome is None:
            raise RuntimeError("a job's events ended without an outcome")
        return self._outcome

    def cancel(self) -> None:
        """Ask the job to stop and, if it has not within half a second, kill its whole process group. Returns at once."""
        self._cancelling.set()
        self._signal_group(signal.SIGTERM)
        threading.Thread(target=self._kill_after_grace, name=f"job-{job_name(self.job)}-grace", daemon=True).start()

    def __enter__(self) -> "JobProcess":  # noqa: PYI034  (typing.Self is not in Python 3.10)
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Cancel what still runs and wait for its end."""
        if self.running:
            self.cancel()
        self.wait()

    def _kill_after_grace(self) -> None:
        if not self._ended.wait(CANCEL_GRACE_S):
            self._kill()

    def _kill(self) -> None:
        if not self._ended.is_set():
            self._signal_group(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, number)
            else:
                self._process.terminate()

    def _read_events(self) -> None:
        """Pass events on until the pipe ends, then add the outcome that only the parent can know."""
        last: Event | None = None
        for line in _lines(self._process.stdout):
            try:
                last = _DECODER.decode(line)
            except msgspec.DecodeError:
                self._log.append(line.decode(errors="replace"))
                continue
            if isinstance(last, Done | Failed | Cancelled):
                break
            self._events.put(last)
        code = self._end_child()
        self._ended.wait()
        self._events.put(last if isinstance(last, Done | Failed | Cancelled) else self._judge_end(code))

    def _end_child(self) -> int:
        """Exit code of the child; one that said its last word and does not go is killed."""
        try:
            return self._process.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self._kill()
            return self._process.wait()

    def _judge_end(self, code: int) -> Outcome:
        if self._cancelling.is_set():
            return Cancelled()
        if code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            advice = "Is there enough memory? What was finished is kept; start the job again."
        else:
            how, advice = f"ended with exit code {code} and no result", "The details help to report it."
        return Failed(f"the process of the job {job_name(self.job)!r} {how}", advice, self.log)

    def _read_log(self) -> None:
        for line in _lines(self._process.stderr):
            self._log.append(line.decode(errors="replace"))

    def _watch_end(self) -> None:
        """Reap the child, end what it left behind in its group (which also ends the pipes)."""
        self._process.wait()
        self._signal_group(getattr(signal, "SIGKILL", signal.SIGTERM))
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._ended.set()


def _lines(stream: "BinaryIO | object | None") -> Iterator[bytes]:
    """The lines of a pipe, each bounded; closes it at the end."""
    if stream is None:
        return
    with stream as pipe:  # type: ignore[attr-defined]
        while line := pipe.readline(LINE_MAX_BYTES):
            yield line


def child_command() -> list[str]:
    """How this installation starts a job's child (a frozen program calls itself)."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "--job-child"]
    return [sys.executable, "-m", "desktop_app.jobs.child"]


def start_job(
    project_folder: Path,
    job: Job,
    *,
    secrets: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
) -> JobProcess:
    """Start a job of a project in a child process.

    `secrets` (passphrase, token) go through the pipe, never on a command line. `command` is for tests.
    """
    process = subprocess.Popen(
        list(command or child_command()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    request = Request(str(project_folder.absolute()), msgspec.Raw(msgspec.json.encode(job)), dict(secrets or {}))
    handle = JobProcess(process, job)
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
    return handle
