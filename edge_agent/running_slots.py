"""All slots of a running agent: their listening sockets, their runners, and what is said of them together."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Protocol

import msgspec

from contract.codec import encode
from contract.files import write_atomic
from contract.messages import DEFAULT_SLOT, ReportedSlot, Window
from edge_agent import systemd
from edge_agent.home import Home
from edge_agent.listening import ListenError, Listening
from edge_agent.page_keeper import PageKeeper
from edge_agent.slot_runner import SlotOwner, SlotRunner
from edge_agent.tuning import forget_choice, load_choice
from edge_agent.update.journal import Journal, JournalState
from edge_agent.update.records import Installed, Wish
from edge_agent.update.tools import Tools
from edge_agent.worker.child_identity import ChildIdentity
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.messages import Access, WorkerRequest
from edge_agent.worker_keeper import Manner, WorkerKeeper

SLOTS_MAX = 32
"""Each has sockets and a worker of its own; no device has room for more."""
STARTING_PATIENCE_US = 90_000_000
"""How long `systemd` shall wait for one slot's first worker: more than the keeper does."""

log = logging.getLogger(__name__)


class Begin(Protocol):
    """Runs work as a named task for as long as the agent runs."""

    def __call__(self, work: Coroutine[None, None, None], name: str) -> None:
        """Begin it."""


class RunningSlots:
    """The slots by name in `runners`; each is opened once and stays open until `close`."""

    def __init__(self, tools: Tools, journal: Journal, owner: SlotOwner, begin: Begin) -> None:
        self._tools, self._journal, self._owner, self._begin = tools, journal, owner, begin
        self._home: Home = tools.home
        self._listening: dict[str, Listening] = {}
        self._indexes = itertools.count()
        self.access = Access()
        self.identity: ChildIdentity | None = None
        self.early: EarlyStart | None = None  # for the main slot's first worker
        self.runners: dict[str, SlotRunner] = {}
        self.endpoint_trouble = ""  # why `run/endpoint.json` is not what it should be

    async def boot(self, known: JournalState) -> None:
        """Open every slot that there ever was and serve what it served."""
        for name in sorted({DEFAULT_SLOT, *self._tools.store.slot_names(), *known.updates}):
            systemd.notify(f"STATUS=starting the worker of slot {name}\nEXTEND_TIMEOUT_USEC={STARTING_PATIENCE_US}")
            await self._open(name).boot(known.updates.get(name), known.damage)
        if self.early is not None:
            self.early.drop()  # where the journal says otherwise than the pointer, nothing took it
        self.write_endpoint()

    def _open(self, name: str) -> SlotRunner:
        if len(self.runners) >= SLOTS_MAX:
            raise ListenError(f"this device has {SLOTS_MAX} slots already, which is the most")
        settings = self._tools.settings
        port = settings.http_port if name == DEFAULT_SLOT else 0
        unix_path = self._home.run / ("agent.sock" if name == DEFAULT_SLOT else f"{name}.sock")
        listening = Listening(port, unix_path, settings.http_host, self.access)
        self._listening[name] = listening
        runner = SlotRunner(name, self._tools, self._journal, self._owner, listening)
        runner.keeper.settings = runner.keeper.settings._replace(
            inference_deadline_ms=settings.inference_deadline_ms, identity=self.identity
        )
        if name == DEFAULT_SLOT and self.early is not None:
            runner.keeper.early = self.early
        runner.keeper.tuned = self._tuned
        runner.keeper.untune = lambda installed: forget_choice(self._home, installed.model.digest)
        self.runners[name] = runner
        self._begin(runner.run(), f"slot-{name}")
        if name == DEFAULT_SLOT:
            page = WorkerRequest("", "", "", name, sockets=listening.descriptors, data_folder=str(self._home.folder), access=self.access)
            pages = PageKeeper(page, self.identity, lambda: _lacks_model(runner))
            runner.keeper.make_way = pages.leave
            self._begin(pages.run(), "page")
        return runner

    def _tuned(self, installed: Installed) -> Manner | None:
        choice = load_choice(self._home, installed.model.digest)
        return Manner(choice.variant, choice.threads) if choice is not None else None

    def wish(self, wishes: dict[str, Wish]) -> None:
        """Pass wishes on to their slots; a slot that is new is opened."""
        for name, wish in wishes.items():
            try:
                if name not in self.runners:
                    self._open(name)
                    self.write_endpoint()
            except ListenError as error:
                self._owner.agent_event(f"slot {name} can not be opened: {error}", {})
                continue
            self.runners[name].wish(wish)

    @property
    def is_settled(self) -> bool:
        """Whether no update is under way."""
        return all(runner.is_settled for runner in self.runners.values())

    @property
    def keepers(self) -> list[WorkerKeeper]:
        """Of all slots."""
        return [runner.keeper for runner in self.runners.values()]

    @property
    def url(self) -> str:
        """Where the main slot answers."""
        return self._listening[DEFAULT_SLOT].url

    def close(self) -> None:
        """Close the sockets; workers are stopped before."""
        for listening in self._listening.values():
            listening.close()
        with contextlib.suppress(OSError):
            self._home.endpoint.unlink(missing_ok=True)

    # What is written

    def write_endpoint(self) -> None:
        """Say where the agent answers. On a full or broken disk it serves all the same, and an older file's lie is removed."""
        document = {
            "url": self.url,
            "socket": str(self._listening[DEFAULT_SLOT].unix_path or ""),
            "pid": os.getpid(),
            "slots": {name: listening.url for name, listening in self._listening.items()},
        }
        try:
            write_atomic(self._home.endpoint, encode(document))
        except OSError as error:
            if not self.endpoint_trouble:
                log.error("run/endpoint.json can not be written: %s. The agent answers at %s", error, self.url)  # noqa: TRY400
            self.endpoint_trouble = str(error)
            with contextlib.suppress(OSError):
                self._home.endpoint.unlink(missing_ok=True)
        else:
            self.endpoint_trouble = ""

    def compact_journal(self) -> None:
        """Shorten a long journal to what it says last."""
        with contextlib.suppress(OSError):
            updates = [(name, runner.state.update) for name, runner in self.runners.items()]
            self._journal.compact((name, update) for name, update in updates if update is not None)

    # What is said

    def reported(self) -> dict[str, ReportedSlot]:
        """The slots as they run, with the numbers of `tune` where they run as tuned."""
        return {name: self._as_tuned(runner) for name, runner in self.runners.items()}

    def _as_tuned(self, runner: SlotRunner) -> ReportedSlot:
        slot, manner = runner.reported(), runner.keeper.manner
        choice = load_choice(self._home, slot.current.digest) if slot.current is not None else None
        if choice is None or manner != (choice.variant, choice.threads):
            return slot
        return msgspec.structs.replace(slot, variant=choice.variant, measured=choice.measured)

    def take_windows(self, boot_id: str, keep: Callable[[Window], None]) -> None:
        """What was measured since the last call."""
        for runner in self.runners.values():
            for window in runner.take_windows(boot_id, partial(next, self._indexes)):
                keep(_as_run(window, runner.keeper))

    def describe(self) -> str:
        """For `systemctl status`: what serves."""
        return "; ".join(_describe(name, runner.keeper) for name, runner in self.runners.items())


def _lacks_model(runner: SlotRunner) -> bool | None:
    """Whether no model is there to answer; None where one is waited for."""
    if runner.keeper.is_answering:
        return False
    return True if runner.state.current is None and runner.is_settled else None


def _as_run(window: Window, keeper: WorkerKeeper) -> Window:
    """A window of the version that answers, with the variant that `tune` may have put in the place of the self-test's."""
    serving, manner = keeper.serving, keeper.manner
    if serving is None or manner is None or serving.installed.model != window.target or manner.variant == window.variant:
        return window
    return msgspec.structs.replace(window, variant=manner.variant)


def _describe(slot: str, keeper: WorkerKeeper) -> str:
    if keeper.serving is None:
        return f"{slot}: no model is installed"
    model = keeper.serving.installed.model
    return f"{slot}: {model.model} {model.version} {'serves' if keeper.is_answering else 'does not start, which is tried again'}"
