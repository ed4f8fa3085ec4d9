"""The tasks of a child process: each has a name, and one that fails ends the child with words."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)


class NamedTasks:
    """`failed` hears which task ended with an error, and which error."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` until it ends, or until all are cancelled."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def named(self, name: str) -> "list[asyncio.Task[None]]":
        """Those of this name that run."""
        return [task for task in self._tasks if task.get_name() == name]

    def cancel(self) -> None:
        """End all; how they end is of no interest any more."""
        for task in list(self._tasks):
            task.remove_done_callback(self._finished)
            task.cancel()

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("the task %s failed", task.get_name(), exc_info=error)
            self._failed(f"{task.get_name()}: {error}")
