"""At most one worker process that was begun before it was needed, for whoever starts the next one."""

import asyncio
import contextlib
import logging
import subprocess

from edge_agent.worker.child_identity import ChildIdentity
from edge_agent.worker.preloading import Expected
from edge_agent.worker.spawning import EarlyWorker, begin_early

log = logging.getLogger(__name__)


class EarlyStart:
    """All methods belong to one event loop."""

    def __init__(self) -> None:
        self._begun: asyncio.Task[EarlyWorker | None] | None = None
        self._ends: set[asyncio.Task[None]] = set()

    def begin(self, expected: Expected, identity: ChildIdentity | None) -> None:
        """Begin one, if there is none yet."""
        if self._begun is None:
            self._begun = asyncio.create_task(_begin(expected, identity), name="early-worker")

    async def take(self) -> EarlyWorker | None:
        """The one that was begun; from now on it is the caller's. None where there is none."""
        begun, self._begun = self._begun, None
        return await begun if begun is not None else None

    def drop(self) -> None:
        """It is not needed after all."""
        begun, self._begun = self._begun, None
        if begun is not None:
            task = asyncio.create_task(_discard(begun), name="early-worker-end")
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def close(self) -> None:
        """Drop it and wait for its end."""
        self.drop()
        if self._ends:
            await asyncio.wait(self._ends)


async def _begin(expected: Expected, identity: ChildIdentity | None) -> EarlyWorker | None:
    try:
        return await begin_early(expected, identity)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("no worker could be begun early: %s", error)
        return None


async def _discard(begun: "asyncio.Task[EarlyWorker | None]") -> None:
    with contextlib.suppress(OSError):
        early = await begun
        if early is not None:
            await early.discard()
