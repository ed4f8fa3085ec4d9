"""Load and unload of one slot's model over HTTP, as its supervisor decides and does it.

Only what is on this device, verified whole and not quarantined is ever loaded: what some slot runs, or knows
to be good. Nothing is written: pointers, wishes and the journal stay, so an update, a rollback or the next start serves
what they say. An update under way comes first: it refuses such a request, and ends one that is being carried out.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from edge_agent.update.records import Installed
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD
from edge_agent.update.tools import Tools
from edge_agent.worker.messages import RepositoryAnswered, RepositoryAsked
from edge_agent.worker.process import WorkerProcess
from edge_agent.worker_keeper import Serving, StartError, WorkerKeeper

log = logging.getLogger(__name__)


class LoadingSlot(Protocol):
    """What is needed of the slot."""

    name: str
    keeper: WorkerKeeper

    @property
    def is_settled(self) -> bool:
        """Whether no update is under way."""

    def as_serving(self, installed: Installed) -> Serving:
        """An installed version as a worker needs it."""


class LoadError(Exception):
    """It is not done; `state` is the HTTP code."""

    def __init__(self, state: int, text: str) -> None:
        """`text` is for who asked."""
        super().__init__(text)
        self.state = state


class ModelLoading:
    """One request at a time."""

    def __init__(self, slot: LoadingSlot, tools: Tools, say: Callable[[str, dict[str, str | int | float]], None]) -> None:
        self._slot = slot
        self._tools = tools
        self._say = say
        self._task: asyncio.Task[None] | None = None

    def hear(self, asked: RepositoryAsked, worker: WorkerProcess) -> None:
        """A worker, perhaps one that another has replaced, passes on what an HTTP client asks for."""
        if self._task is not None and not self._task.done():
            worker.answer(RepositoryAnswered(asked.id, 409, "another model is being loaded or unloaded; ask again when that has ended"))
            return
        self._task = asyncio.create_task(self._answer(asked, worker), name=f"load-{self._slot.name}")

    def cancel(self) -> None:
        """An update begins, or the agent ends."""
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _answer(self, asked: RepositoryAsked, worker: WorkerProcess) -> None:
        try:
            await (self._load(asked) if asked.load else self._unload(asked))
            await asyncio.sleep(0)  # the worker before is told first to accept no more, and then that it may answer
            worker.answer(RepositoryAnswered(asked.id, 200))
        except LoadError as error:
            worker.answer(RepositoryAnswered(asked.id, error.state, str(error)))
        except asyncio.CancelledError:
            worker.answer(RepositoryAnswered(asked.id, 409, "an update began meanwhile, and comes first"))
            raise
        except Exception as error:
            log.exception("Slot %s: a request to load or unload failed", self._slot.name)
            worker.answer(RepositoryAnswered(asked.id, 500, f"{type(error).__name__}; the agent's log says more"))

    def _check_allowed(self) -> None:
        if not self._tools.settings.http_load_unload:
            raise LoadError(403, "loading over HTTP is off on this device (http_load_unload in config.json)")
        if not self._slot.is_settled:
            raise LoadError(409, "an update is under way; ask again when it has ended")

    async def _load(self, asked: RepositoryAsked) -> None:
        self._check_allowed()
        keeper, installed = self._slot.keeper, self._find(asked)
        serving = keeper.serving
        if serving is not None and serving.installed == installed and keeper.is_answering and not keeper.unloaded:
            return
        check = partial(self._tools.store.check_installed, installed)
        if await self._tools.machinery.in_thread(f"load-{self._slot.name}", check) is None:
            raise LoadError(409, f"{_name(installed)} is damaged on this disk; install it again")
        self._check_allowed()  # a wish may have come meanwhile
        try:
            await keeper.serve(self._slot.as_serving(installed))
        except StartError as error:
            raise LoadError(500, f"{_name(installed)} does not start: {error.detail[:300]}; what served before still does") from error
        self._say(f"slot {self._slot.name}: {_name(installed)} was loaded over HTTP", {})

    async def _unload(self, asked: RepositoryAsked) -> None:
        self._check_allowed()
        keeper = self._slot.keeper
        serving = keeper.serving
        if serving is None or serving.installed.model.model != asked.model:
            raise LoadError(404, f"no model {asked.model[:60]!r} is loaded here")
        if not keeper.unloaded:
            keeper.unloaded = True
            self._say(f"slot {self._slot.name}: {_name(serving.installed)} was unloaded over HTTP", {})

    def _find(self, asked: RepositoryAsked) -> Installed:
        """What is asked for among what is installed; this slot's own first."""
        found = [installed for installed in self._installed() if _fits(installed, asked)]
        if not found:
            what = f"version {asked.version} of " * bool(asked.version) + f"model {asked.model[:60]!r}"
            raise LoadError(404, f"{what} is not installed on this device, or not by that digest; nothing is fetched for such a request")
        quarantine = self._tools.store.load_quarantine()
        sound = [installed for installed in found if installed.model.digest not in quarantine]
        if not sound:
            raise LoadError(403, f"{_name(found[0])} failed on this device and is quarantined")
        return sound[0]

    def _installed(self) -> list[Installed]:
        """What this slot runs and knows to be good, then the same of other slots, whose applications stay theirs."""
        store, found = self._tools.store, []
        for slot in sorted(store.slot_names(), key=lambda name: (name != self._slot.name, name)):
            for pointer in (CURRENT, LAST_KNOWN_GOOD):
                installed = store.pointer(slot, pointer)
                if installed is not None:
                    found.append(installed if slot == self._slot.name else msgspec.structs.replace(installed, application=None))
        return found


def _fits(installed: Installed, asked: RepositoryAsked) -> bool:
    model = installed.model
    return model.model == asked.model and asked.version in {0, model.version} and asked.digest in {"", model.digest}


def _name(installed: Installed) -> str:
    return f"{installed.model.model} {installed.model.version}"
