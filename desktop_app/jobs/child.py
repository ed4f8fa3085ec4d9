"""The child process of one job: `python -m desktop_app.jobs.child`.

The request is one JSON line on standard input; events leave as JSON lines on the original standard
output, while everything that libraries print goes to standard error. The child ends itself, with
all processes of its group, when standard input closes: its parent is gone then.
"""

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from desktop_app.errors import JobCancelledError, JobError, StudioError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.events import Cancelled, Done, Event, Failed, Hello, Outcome
from desktop_app.jobs.requests import Job, decode_job, find_function, job_name

REQUEST_MAX_BYTES = 4 << 20
GARBAGE_THRESHOLDS = (10_000, 20, 20)
"""Python's own first one is 700: the libraries of a conversion make objects by the million, and nearly all stay."""


class Request(msgspec.Struct, frozen=True):
    """What the parent sends; `secrets` never reach a log."""

    project: str
    job: msgspec.Raw
    secrets: dict[str, str] = {}


class EventChannel:
    """Writes events as JSON lines, whole, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        """Write one event; a parent that no longer reads is no error here (the watch ends the child)."""
        line = memoryview(msgspec.json.encode(event, enc_hook=_encode_foreign) + b"\n")
        with self._lock, contextlib.suppress(BrokenPipeError):
            while line:
                line = line[os.write(self._descriptor, line) :]


def _encode_foreign(value: object) -> object:
    """Paths as text, numpy scalars and arrays as numbers and lists."""
    if isinstance(value, Path):
        return value.as_posix()
    to_list = getattr(value, "tolist", None)
    if to_list is not None:
        return to_list()
    raise NotImplementedError(f"a job's result holds {type(value).__name__}, which JSON can not")


def claim_channel() -> EventChannel:
    """Keep the original standard output for events alone and send what anybody prints to standard error."""
    channel = EventChannel(os.dup(1))
    os.dup2(2, 1)
    return channel


def claim_input() -> BinaryIO:
    """Keep the original standard input for the parent's pipe; what the job starts reads from nowhere."""
    pipe = os.fdopen(os.dup(0), "rb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    return pipe


def read_request(pipe: BinaryIO) -> tuple[Request, Job]:
    """Read the request's line.

    Raises:
        JobError: it is too long, cut short, or not a request.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = pipe.readline(REQUEST_MAX_BYTES)
        line += piece
        if not piece or len(line) > REQUEST_MAX_BYTES:
            raise JobError(f"the job's request is no line of at most {REQUEST_MAX_BYTES} bytes")
    try:
        request = msgspec.json.decode(bytes(line), type=Request)
    except msgspec.DecodeError as error:
        raise JobError(f"the job's request is not valid: {error}") from error
    return request, decode_job(bytes(request.job))


def end_with_parent(pipe: BinaryIO) -> None:
    """Wait for the parent's end of the pipe to close, then kill the own process group."""
    with contextlib.suppress(OSError):
        while pipe.read(4096):
            pass
    if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def look_for_garbage_seldom() -> None:
    """And not at all among what is left at the end: together that was a third of a conversion's time."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    atexit.register(gc.freeze)


def run_job(project_folder: Path, job: Job, context: JobContext) -> Outcome:
    """Run a job in this process and turn every way in which it can end into its last event."""
    try:
        function = find_function(job)
        from desktop_app.data.project import open_project

        with open_project(project_folder) as project:
            return Done(msgspec.to_builtins(function(project, job, context), enc_hook=_encode_foreign))
    except JobCancelledError:
        return Cancelled()
    except StudioError as error:
        return Failed(str(error), error.advice, traceback.format_exc())
    except Exception as error:  # noqa: BLE001  (the border of the process: everything becomes an event)
        return Cancelled() if context.cancelled else _failed(error)


def _failed(error: Exception) -> Failed:
    text = str(error).strip() or "no message"
    if type(error).__module__.split(".")[0] in {"contract", "converters", "edge_agent", "desktop_app"}:
        return Failed(text, str(getattr(error, "advice", "")), traceback.format_exc())
    advice = "This is a fault of the program; the details help to report it."
    return Failed(f"{type(error).__name__}: {text}", advice, traceback.format_exc())


@contextlib.contextmanager
def _cancel_on_sigterm(context: JobContext) -> Iterator[None]:
    previous = signal.signal(signal.SIGTERM, lambda _number, _frame: context.cancel())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def main() -> int:
    """Run the one job of this process; 0 when it was done."""
    look_for_garbage_seldom()
    pipe, channel = claim_input(), claim_channel()
    try:
        request, job = read_request(pipe)
    except JobError as error:
        channel.send(Failed(str(error), error.advice))
        return 2
    context = JobContext(channel.send, request.secrets)
    with _cancel_on_sigterm(context):
        channel.send(Hello(job_name(job), os.getpid()))
        threading.Thread(target=end_with_parent, args=(pipe,), name="parent-watch", daemon=True).start()
        outcome = run_job(Path(request.project), job, context)
    channel.send(outcome)
    sys.stderr.flush()
    return 0 if isinstance(outcome, Done) else 1


if __name__ == "__main__":
    sys.exit(main())
