"""What a job's function is given to speak through: progress, metrics, messages, secrets, cancel."""

import math
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from desktop_app.errors import JobCancelledError, JobError
from desktop_app.jobs.events import Event, Message, Metric, Progress


class Report(Protocol):
    """The part of a context that reporting work needs; `SilentReport` is the one that drops it."""

    def progress(self, done: int, total: int, unit: str = "", text: str = "") -> None:
        """Say that `done` of `total` `unit`s are finished."""

    def message(self, text: str) -> None:
        """Say a sentence to the user."""

    def check_cancelled(self) -> None:
        """Raise `JobCancelledError` if the user cancelled."""


class SilentReport:
    """A report that nobody reads and nobody cancels."""

    def progress(self, done: int, total: int, unit: str = "", text: str = "") -> None:
        """Drop it."""

    def message(self, text: str) -> None:
        """Drop it."""

    def check_cancelled(self) -> None:
        """Never cancelled."""


class JobContext:
    """The context of one job; `send` takes each event, from any thread."""

    def __init__(self, send: Callable[[Event], None], secrets: Mapping[str, str] | None = None) -> None:
        self._send = send
        self._secrets = dict(secrets or {})
        self._cancelled = threading.Event()

    def progress(self, done: int, total: int, unit: str = "", text: str = "") -> None:
        """Say that `done` of `total` `unit`s are finished (`total` 0: not known yet)."""
        self._send(Progress(done, total, unit, text))

    def metric(self, name: str, value: float, *, epoch: int | None = None, step: int | None = None, split: str = "") -> None:
        """Report one value; what JSON can not hold (NaN, infinity) is dropped with a message."""
        if math.isfinite(value):
            self._send(Metric(name, float(value), epoch, step, split))
        else:
            self._send(Message(f"{name} is {value}: not a finite number"))

    def message(self, text: str) -> None:
        """Say a sentence to the user."""
        self._send(Message(text))

    def cancel(self) -> None:
        """Ask the job to stop at its next `check_cancelled`."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether the user cancelled."""
        return self._cancelled.is_set()

    def check_cancelled(self) -> None:
        """Stop here if the user cancelled; call it at least twice a second.

        Raises:
            JobCancelledError: the user cancelled.
        """
        if self._cancelled.is_set():
            raise JobCancelledError("the job was cancelled")

    def secret(self, name: str) -> str:
        """A secret that travelled beside the job, e.g. `passphrase`.

        Raises:
            JobError: it was not given.
        """
        if name not in self._secrets:
            raise JobError(f"this job needs the secret {name!r}, which was not given with it")
        return self._secrets[name]
