"""One slot at work: performs what the update machine decides, and says what the slot is."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from contract.application import Application
from contract.codec import DOCUMENT_MAX_BYTES, decode
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of
from contract.messages import ReportedSlot, UpdateEvent, Window
from contract.states import FailureReason, UpdateState
from edge_agent.listening import Listening
from edge_agent.model_loading import ModelLoading
from edge_agent.update import machine
from edge_agent.update.events import (
    Action,
    Cancel,
    DeadlinePassed,
    Event,
    Failed,
    Quarantine,
    Record,
    Release,
    Restarted,
    Slot,
    Waits,
    Wished,
    Work,
)
from edge_agent.update.journal import Journal
from edge_agent.update.plan import StepFailedError
from edge_agent.update.records import Installed, Update, Wish
from edge_agent.update.reports import describe, event_of, report_of
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD
from edge_agent.update.table import deadline_s
from edge_agent.update.tools import Tools
from edge_agent.update.work import UpdateWork
from edge_agent.window_book import Purpose, WindowBook, load_reference
from edge_agent.worker.messages import FromWorker, RuleFired, SinkSaid, SourceEnded, SourceSaid, WindowStats
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper

_NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})

log = logging.getLogger(__name__)


class SlotOwner(Protocol):
    """What a slot tells the supervisor, on the event loop."""

    def slot_changed(self) -> None:
        """The reported state is another now."""

    def update_moved(self, event: UpdateEvent) -> None:
        """An update took a step."""

    def agent_event(self, text: str, data: dict[str, str | int | float]) -> None:
        """Something else worth an event: a worker ended, a source failed."""

    def rule_fired(self, fired: RuleFired, slot: str) -> None:
        """An application's rule fired."""


class SlotRunner:
    """The state of one slot and the task that moves it."""

    def __init__(self, name: str, tools: Tools, journal: Journal, owner: SlotOwner, listening: Listening) -> None:
        self.name = name
        self._tools = tools
        self._journal = journal
        self._owner = owner
        own = tools.settings
        settings = KeeperSettings(
            name,
            listening.descriptors,
            tools.home.folder,
            own.threads,
            access=listening.access,
            deadline_s=own.http_deadline_s,
            load_unload=own.http_load_unload,
        )
        self.keeper: WorkerKeeper = tools.machinery.make_keeper(settings, self._heard, self._worker_ended)
        self.state = Slot()
        self._work = UpdateWork(tools, self)
        self.loading = ModelLoading(self, tools, owner.agent_event)
        self.keeper.on_asked = self.loading.hear
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._books: dict[Installed, WindowBook] = {}
        self._source_failures: dict[Installed, str] = {}
        self._journal_trouble = ""
        self.damaged = ""  # the version that is installed, where nothing of it can be served
        self._told: tuple[int, int, UpdateState] | None = None

    # Life

    async def boot(self, update: Update | None, damage: str) -> None:
        """Serve at once what the journal and the pointers say, before anything else is decided."""
        self.state = machine.repaired(self._tools.store.load_slot(self.name, None if damage else update))
        installed = self.state.current
        lost = self._tools.store.pointer(self.name, LAST_KNOWN_GOOD) if installed is None else None
        self.damaged = _name(lost) if lost is not None else ""
        if installed is not None:
            await self.keeper.keep_serving(self.as_serving(installed))
        self._repair_pointer(CURRENT, installed)
        self._repair_pointer(LAST_KNOWN_GOOD, self.state.last_known_good)
        self.post(Restarted())

    def _repair_pointer(self, name: str, installed: Installed | None) -> None:
        pointer = self._tools.store.pointer(self.name, name)
        if pointer == installed or (installed is None and name == LAST_KNOWN_GOOD):
            return  # what could not be read, or is damaged, may be readable the next time: only a commit replaces it
        if name == CURRENT:
            self._owner.agent_event(f"slot {self.name} goes back from {_name(pointer)} to {_name(installed)}", {})
        try:
            self._tools.store.point(self.name, name, installed)
        except OSError:
            log.exception("The pointer %s could not be written; what it should say serves all the same", name)

    async def run(self) -> None:
        """Move through events until cancelled."""
        try:
            while True:
                self._apply(await self._events.get())
        finally:
            self.loading.cancel()
            await self._cancel_work()

    def post(self, event: Event) -> None:
        """Let an event take its turn."""
        self._events.put_nowait(event)

    def wish(self, wish: Wish) -> None:
        """The slot should run this."""
        self.post(Wished(wish))

    @property
    def is_settled(self) -> bool:
        """Whether no update is under way and no event waits."""
        return self._events.empty() and (self.state.update is None or self.state.update.is_final)

    # The machine

    def _apply(self, event: Event) -> None:
        if isinstance(event, Wished):
            self.state = msgspec.structs.replace(self.state, quarantine=self._tools.store.load_quarantine())
        self.state, actions = machine.advance(self.state, event)
        for action in actions:
            self._perform(action)
        if actions:
            self._owner.slot_changed()

    def _perform(self, action: Action) -> None:
        if isinstance(action, Record):
            self._record(action)
        elif isinstance(action, (Quarantine, Release)):
            self._change_quarantine(action)
        elif isinstance(action, Cancel):
            if self._task is not None:
                self._task.cancel()
                self._task = None
        else:
            self._begin(action)

    def _record(self, action: Record) -> None:
        update = action.update
        self._journal_trouble = ""
        try:
            self._tools.store.quarantine.save()  # first what failed: this record may be the last that knows of it
            self._journal.append(self.name, "result" if update.is_final else "intent", update)
        except OSError as error:
            self._journal_trouble = f"the journal can not be written: {error}"
            log.error("Slot %s: %s", self.name, self._journal_trouble)  # noqa: TRY400  (no traceback for a full disk)
        log.info("Slot %s: %s", self.name, describe(update, action.previous))
        if update.is_final:
            self._work.finish(update)
            self._take_purpose(update)
        step = (update.wish.revision, update.attempt, update.state)
        if step != self._told:
            self._told = step
            self._owner.update_moved(event_of(self.name, update, action.previous))

    def _begin(self, action: Work) -> None:
        update = action.update
        if self._journal_trouble and update.state is not UpdateState.ROLLING_BACK:
            self.post(Failed(update.state, FailureReason.NO_SPACE, self._journal_trouble))
            return
        self.loading.cancel()
        self._task = asyncio.create_task(self._do(update), name=f"update-{self.name}-{update.state.value}")

    async def _do(self, update: Update) -> None:
        self.post(await self._outcome(update))

    async def _outcome(self, update: Update) -> Event:
        state = update.state
        try:
            succeeded = await self._work.time.bound(self._work.do(update), deadline_s(update))
        except StepFailedError as error:
            return Failed(state, error.reason, error.detail, error.paired)
        except asyncio.TimeoutError:
            return DeadlinePassed(state)
        except OSError as error:
            return Failed(state, FailureReason.NO_SPACE if error.errno in _NO_SPACE else FailureReason.INTERNAL, str(error))
        except Exception as error:
            log.exception("Slot %s: the work of %s failed unexpectedly", self.name, state.value)
            return Failed(state, FailureReason.INTERNAL, f"{type(error).__name__}: {error}")
        with contextlib.suppress(OSError):  # the work is done all the same; the next intent tells whether the journal works
            self._journal.append(self.name, "result", update)
        return succeeded

    async def _cancel_work(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _change_quarantine(self, action: Quarantine | Release) -> None:
        quarantine = self._tools.store.load_quarantine()
        if isinstance(action, Quarantine):
            quarantine[action.digest] = action.entry
        else:
            quarantine.pop(action.digest, None)
        try:
            self._tools.store.save_quarantine(quarantine)
        except OSError as error:
            log.warning("The quarantine could not be written yet; the journal says it too: %s", error)

    # What the work needs of its slot

    def going_back_to(self) -> Installed | None:
        """While rolling back: what shall serve."""
        return self.state.current

    def proven(self) -> Installed | None:
        """The last known good version."""
        return self.state.last_known_good

    def policy_of(self, update: Update) -> Update:
        """The update with the newest wish."""
        return self.state.update or update

    def say_waits(self, state: UpdateState, text: str) -> None:
        """The work of a state waits for leave to go on; "": it goes on."""
        self.post(Waits(state, text))

    def book(self) -> WindowBook | None:
        """Measurements of the version that serves."""
        serving = self.keeper.serving
        return self._books.get(serving.installed) if serving is not None else None

    def source_failure(self, installed: Installed) -> str:
        """Why the source of a version's application failed; empty where it did not."""
        return self._source_failures.get(installed, "")

    def as_serving(self, installed: Installed) -> Serving:
        """An installed version as a worker needs it; its measurements begin anew."""
        folder = self._tools.store.version_folder(installed.model.digest)
        book = WindowBook(self.name, installed, load_reference(folder / "reference.json"))
        update = self.state.update
        if update is not None and update.candidate.model == installed.model:
            book.purpose = Purpose(update.wish.model.rollout, update.wish.model.arm)
        self._books[installed] = book
        self._source_failures.pop(installed, None)
        return Serving(installed, folder, self._application(installed))

    def _application(self, installed: Installed) -> Application | None:
        reference = installed.application
        if reference is None:
            return None
        try:
            data = read_bounded(self._tools.store.object_path(reference.digest), DOCUMENT_MAX_BYTES)
            if sha256_of(data) == reference.digest:
                return decode(data, Application, "the application")
            log.error("The application %s %s is damaged on this disk; the model serves without it", reference.name, reference.version)
        except (OSError, ContractError) as error:
            log.error("The application %s can not be read: %s", reference.name, error)  # noqa: TRY400  (the model serves on)
        return None

    # What workers say

    def _heard(self, serving: Serving, message: FromWorker) -> None:
        if isinstance(message, WindowStats):
            if (book := self._books.get(serving.installed)) is not None:
                book.add(message)
        elif isinstance(message, RuleFired):
            self._owner.rule_fired(message, self.name)
        elif isinstance(message, SourceEnded):
            if message.failed:
                self._source_failures[serving.installed] = message.detail
            self._owner.agent_event(f"slot {self.name}: the source ended: {message.detail}", {"failed": int(message.failed)})
        elif isinstance(message, SourceSaid):
            self._owner.agent_event(f"slot {self.name}: {message.text}", {})
        elif isinstance(message, SinkSaid):
            book = self._books.get(serving.installed)
            if book is not None and (news := book.sinks.hear(message)):
                self._owner.agent_event(f"slot {self.name}: {news}", {})

    def _worker_ended(self, text: str) -> None:
        self._owner.agent_event(f"slot {self.name}: {text}", {})

    def _take_purpose(self, update: Update) -> None:
        book = self.book()
        if book is not None and update.state is UpdateState.DONE and book.installed.model == update.wish.model.ref:
            book.purpose = Purpose(update.wish.model.rollout, update.wish.model.arm)

    def take_windows(self, boot_id: str, next_index: Callable[[], int]) -> list[Window]:
        """The windows that were measured since the last call; forgets versions that no longer serve."""
        windows = [book.take(boot_id, next_index()) for book in self._books.values() if book.pending is not None]
        serving = self.keeper.serving
        for installed in [installed for installed in self._books if serving is None or installed != serving.installed]:
            if self._books[installed].is_over():
                del self._books[installed]
        return [window for window in windows if window is not None]

    # What the fleet hears

    def reported(self) -> ReportedSlot:
        """The slot as it is now."""
        update, current = self.state.update, self.state.current
        application = current.application if current is not None else None
        return ReportedSlot(
            current=current.model if current else None,
            last_known_good=self.state.last_known_good.model if self.state.last_known_good else None,
            variant=current.variant if current else "",
            update=report_of(update) if update else None,
            measured=update.measured if update and current and update.candidate.model == current.model else (),
            application=application.name if application else "",
            application_version=application.version if application else 0,
        )


def _name(installed: Installed | None) -> str:
    return f"{installed.model.model} {installed.model.version}" if installed else "nothing"
