"""The view model of a project: pages ask questions here and are told what changed.

A question is a plain function of the project (see `questions/`); it runs in a worker thread and is
answered in the window's thread. Each request has an id; an answer that a newer request of the same
slot has overtaken, or whose asker is gone, is dropped. Long work is a job (see `job_runner`).
"""

import itertools
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal

from desktop_app.data.project import Project, open_project

T = TypeVar("T")
Question = Callable[[Project], T]

SAMPLES, VERSIONS, RUNS, EVALUATIONS, VARIANTS, PACKAGES, IMPORTS = (
    "samples",
    "versions",
    "runs",
    "evaluations",
    "variants",
    "packages",
    "imports",
)
EVERYTHING = frozenset({SAMPLES, VERSIONS, RUNS, EVALUATIONS, VARIANTS, PACKAGES, IMPORTS})
THREADS = 3
CLOSE_WAIT_MS = 5000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """Why a request failed: a sentence, what to do, and details for a report."""

    sentence: str
    advice: str = ""
    details: str = ""

    @property
    def whole(self) -> str:
        """Sentence and advice in one."""
        return " ".join(part for part in (_as_sentence(self.sentence), self.advice) if part)


def _as_sentence(text: str) -> str:
    stripped = text.strip()
    capital = stripped[:1].upper() + stripped[1:]
    return capital if capital.endswith((".", "!", "?", "…")) else capital + "."


def trouble_of(error: BaseException) -> Trouble:
    """An exception in words; the program's own errors need no class name."""
    ours = type(error).__module__.split(".")[0] in {"contract", "converters", "edge_agent", "desktop_app"}
    text = str(error).strip() or "no message"
    details = "".join(traceback.format_exception(error))
    return Trouble(text if ours else f"{type(error).__name__}: {text}", str(getattr(error, "advice", "")), details)


@dataclass(frozen=True)
class Answer:
    """What came of the request `request_id`: a value, or trouble."""

    request_id: int
    value: Any = None
    trouble: Trouble | None = None


@dataclass(frozen=True)
class _Pending:
    asker: QObject
    slot: str
    on_answer: Callable[[Any], object]
    on_trouble: Callable[[Trouble], object] | None


class _Work(QRunnable):
    """One request in a worker thread."""

    def __init__(self, request_id: int, work: Callable[[], Any], tell: Callable[[Answer], None]) -> None:
        super().__init__()
        self._request_id, self._work, self._tell = request_id, work, tell

    def run(self) -> None:
        """Work and tell; whatever goes wrong becomes trouble, because this is the border of the thread."""
        try:
            answer = Answer(self._request_id, self._work())
        except Exception as error:  # noqa: BLE001  (the border of the thread)
            answer = Answer(self._request_id, trouble=trouble_of(error))
        self._tell(answer)


class Workspace(QObject):
    """The open project, if any, and the questions about it."""

    opened = Signal()
    changed = Signal(object)  # frozenset of topics
    troubled = Signal(object)  # Trouble nobody asked to hear of
    _arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.project: Project | None = None
        self._ids = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._newest: dict[tuple[int, str], int] = {}
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(THREADS)
        self._pool.setExpiryTimeout(-1)
        self._arrived.connect(self._deliver)

    @property
    def folder(self) -> Path | None:
        """Folder of the open project."""
        return self.project.folder if self.project else None

    def open(self, folder: Path) -> None:
        """Open a project in place of the one that is open.

        Raises:
            ProjectError: there is none, or it can not be opened; the old one stays open then.
        """
        fresh = open_project(folder)
        self.close()
        self.project = fresh
        self.opened.emit()
        self.changed.emit(EVERYTHING)

    def close(self) -> None:
        """Forget all requests, wait for those under way and close the project."""
        self._pending.clear()
        self._newest.clear()
        self._pool.waitForDone(CLOSE_WAIT_MS)
        if self.project is not None:
            self.project.close()
        self.project = None

    def ask(
        self,
        asker: QObject,
        slot: str,
        question: Question[T],
        on_answer: Callable[[T], object],
        on_trouble: Callable[[Trouble], object] | None = None,
    ) -> int:
        """Ask about the open project; returns the request's id, 0 where no project is open."""
        project = self.project
        if project is None:
            return 0
        return self.work(asker, slot, lambda: question(project), on_answer, on_trouble)

    def work(
        self,
        asker: QObject,
        slot: str,
        work: Callable[[], T],
        on_answer: Callable[[T], object],
        on_trouble: Callable[[Trouble], object] | None = None,
    ) -> int:
        """Run `work` in a worker thread; a newer request of the same asker and slot overtakes it."""
        request_id = next(self._ids)
        self._pending.pop(self._newest.get((id(asker), slot), 0), None)
        self._newest[id(asker), slot] = request_id
        self._pending[request_id] = _Pending(asker, slot, on_answer, on_trouble)
        self._pool.start(_Work(request_id, work, self._tell))
        return request_id

    def change(
        self,
        asker: QObject,
        operation: Question[T],
        topics: frozenset[str],
        on_done: Callable[[T], object] | None = None,
        on_trouble: Callable[[Trouble], object] | None = None,
    ) -> int:
        """Run an operation that changes the project, then tell which topics changed; none overtakes another."""

        def done(value: T) -> None:
            if on_done is not None:
                on_done(value)
            self.changed.emit(topics)

        return self.ask(asker, f"change-{next(self._ids)}", operation, done, on_trouble)

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._pending

    def _tell(self, answer: Answer) -> None:
        if shiboken6.isValid(self):
            self._arrived.emit(answer)

    def _deliver(self, answer: Answer) -> None:
        pending = self._pending.pop(answer.request_id, None)
        if pending is None or not shiboken6.isValid(pending.asker):
            return
        if answer.trouble is None:
            pending.on_answer(answer.value)
        elif pending.on_trouble is not None:
            pending.on_trouble(answer.trouble)
        else:
            _log.warning("%s: %s", pending.slot, answer.trouble.sentence)
            self.troubled.emit(answer.trouble)
