"""Runs jobs one after another, each in a child process, and brings their events to the window's thread."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from desktop_app.jobs.events import Cancelled, Done, Event, Failed, Message, Outcome, Progress
from desktop_app.jobs.process import JobProcess, start_job
from desktop_app.jobs.requests import Job
from desktop_app.ui.translations.text import Text

WAITING, RUNNING, ENDED = "waiting", "running", "ended"
PROGRESS_INTERVAL_S = 0.05


@dataclass(eq=False)
class JobHandle:
    """One job from its request to its outcome, as the window sees it."""

    id: int
    job: Job
    title: Text
    topics: frozenset[str]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    state: str = WAITING
    progress: Progress | None = None
    messages: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    started_at: float = 0.0  # monotonic
    ended_at: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace so far, None where it can not be told."""
        progress = self.progress
        if progress is None or progress.total <= 0 or progress.done <= 0:
            return None
        passed = time.monotonic() - self.started_at
        return passed * (progress.total - progress.done) / progress.done

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return (self.ended_at or time.monotonic()) - self.started_at


class JobRunner(QObject):
    """A queue of jobs; one runs at a time."""

    changed = Signal()
    event_came = Signal(object, object)  # JobHandle, Event
    ended = Signal(object)  # JobHandle
    _event = Signal(object, object)
    _outcome = Signal(object, object, str)

    def __init__(self) -> None:
        super().__init__()
        self.current: JobHandle | None = None
        self.last: JobHandle | None = None
        self._waiting: deque[JobHandle] = deque()
        self._folder: Path | None = None
        self._process: JobProcess | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._ids = itertools.count(1)
        self._event.connect(self._take_event)
        self._outcome.connect(self._take_outcome)

    def open(self, folder: Path) -> None:
        """Run jobs of the project in `folder` from now on."""
        self._folder = folder

    @property
    def waiting(self) -> tuple[JobHandle, ...]:
        """Jobs that wait for their turn."""
        return tuple(self._waiting)

    def start(self, job: Job, title: Text, topics: frozenset[str], secrets: Mapping[str, str] | None = None) -> JobHandle:
        """Put a job at the end of the queue; `topics` are what it changes."""
        handle = JobHandle(next(self._ids), job, title, topics, dict(secrets or {}))
        self._waiting.append(handle)
        self._start_next()
        return handle

    def cancel(self) -> None:
        """Cancel the job that runs; the answer comes within a second."""
        with self._lock:
            self._is_cancelled = True
            if self._process is not None:
                self._process.cancel()

    def log(self) -> str:
        """Messages of the job and what its libraries printed."""
        handle = self.current or self.last
        lines = list(handle.messages) if handle else []
        if self.current is not None and self._process is not None:
            lines.append(self._process.log)
        outcome = handle.outcome if handle else None
        if isinstance(outcome, Failed):
            lines += [outcome.error, outcome.advice, outcome.details]
        return "\n".join(line for line in lines if line)

    def close(self) -> None:
        """Cancel everything and wait for the child's end."""
        self._waiting.clear()
        self.cancel()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _start_next(self) -> None:
        if self.current is not None or not self._waiting or self._folder is None:
            self.changed.emit()
            return
        handle = self._waiting.popleft()
        handle.state, handle.started_at = RUNNING, time.monotonic()
        self.current, self._is_cancelled = handle, False
        self._thread = threading.Thread(target=self._follow, args=(handle, self._folder), name=f"follow-job-{handle.id}", daemon=True)
        self._thread.start()
        self.changed.emit()

    def _follow(self, handle: JobHandle, folder: Path) -> None:
        """In a thread of its own: start the child, pass its events on, thinning out progress."""
        try:
            with start_job(folder, handle.job, secrets=handle.secrets) as process:
                with self._lock:
                    self._process = process
                    if self._is_cancelled:
                        process.cancel()
                self._pass_on(handle, process)
                outcome, log = process.wait(), process.log
        except OSError as error:
            outcome, log = Failed(f"the job's process can not be started: {error}", "Close other programs and try again."), ""
        with self._lock:
            self._process = None
        self._outcome.emit(handle, outcome, log)

    def _pass_on(self, handle: JobHandle, process: JobProcess) -> None:
        next_progress = 0.0
        for event in process:
            if isinstance(event, Progress):
                now = time.monotonic()
                if now < next_progress and event.done < event.total:
                    continue
                next_progress = now + PROGRESS_INTERVAL_S
            if not isinstance(event, Done | Failed | Cancelled):
                self._event.emit(handle, event)

    def _take_event(self, handle: JobHandle, event: Event) -> None:
        if isinstance(event, Progress):
            handle.progress = event
        elif isinstance(event, Message):
            handle.messages.append(event.text)
        self.event_came.emit(handle, event)

    def _take_outcome(self, handle: JobHandle, outcome: Outcome, log: str) -> None:
        handle.state, handle.outcome, handle.ended_at = ENDED, outcome, time.monotonic()
        if log:
            handle.messages.append(log)
        self.last, self.current = handle, None
        self.ended.emit(handle)
        self._start_next()
