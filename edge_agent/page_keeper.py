"""Keeps somebody at a slot's sockets while no model serves: a process that shows the status page and says why.

Where a worker is being replaced, nothing of this happens: connections wait in the backlog for the next one. Only where
no version is installed, or none has answered for some time, does a page take its place, and it leaves as soon as one does.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator

import msgspec

from contract.errors import ContractError
from edge_agent.worker.child_identity import ChildIdentity, spawn_options
from edge_agent.worker.child_processes import child_command, child_environment
from edge_agent.worker.handed_files import handed
from edge_agent.worker.messages import Access, WorkerRequest, encode_line

LOOK_S = 0.5
PATIENCE_S = 10.0
"""How long a version may not answer before the page does."""
END_S, TRY_AGAIN_S = 2.0, 30.0

log = logging.getLogger(__name__)


class PageKeeper:
    """For one slot. `is_needed` says whether a model serves (False), is waited for (None) or is not there at all (True)."""

    def __init__(self, request: WorkerRequest, identity: ChildIdentity | None, is_needed: Callable[[], bool | None]) -> None:
        self._request = request
        self._identity = identity
        self._is_needed = is_needed
        self._process: asyncio.subprocess.Process | None = None
        self._answered_s = time.monotonic()
        self._started_s = float("-inf")

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                await self._look()
        finally:
            await self._end()

    async def leave(self) -> None:
        """A worker is about to serve: end the page, which would take some of its requests, and begin none soon."""
        self._answered_s = time.monotonic()
        await self._end()

    async def _look(self) -> None:
        now_s, needed = time.monotonic(), self._is_needed()
        if needed is False:
            self._answered_s = now_s
            await self._end()
        elif needed or now_s - self._answered_s > PATIENCE_S:
            await self._begin(now_s)

    async def _begin(self, now_s: float) -> None:
        if self._process is not None and self._process.returncode is None:
            return
        if now_s - self._started_s < TRY_AGAIN_S:
            return  # it ended by itself; its log says why
        self._started_s = now_s
        try:
            with self._handed() as (access, descriptors):
                self._process = await asyncio.create_subprocess_exec(
                    *child_command("page"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    env=child_environment(),
                    pass_fds=(*self._request.sockets, *descriptors),
                    **spawn_options(self._identity),
                )
        except (OSError, ContractError) as error:
            log.warning("The status page can not be shown while no model serves: %s", error)
            return
        if self._process.stdin is not None:
            self._process.stdin.write(encode_line(msgspec.structs.replace(self._request, access=access)))

    @contextlib.contextmanager
    def _handed(self) -> Iterator[tuple[Access, tuple[int, ...]]]:
        if self._identity is None:
            yield self._request.access, ()
            return
        with handed(self._request.access) as both:
            yield both

    async def _end(self) -> None:
        process, self._process = self._process, None
        self._started_s = float("-inf")
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)
        if process.returncode is None:
            process.kill()
            await process.wait()
