"""The agent's long-lived process: owns sockets, updates, outbox and the fleet's link; runs no model itself."""

import asyncio
import contextlib
import logging
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial

from contract.codec import utc_now
from contract.messages import DEFAULT_SLOT, Reported, Telemetry, UpdateEvent
from contract.states import FINAL_UPDATE_STATES
from edge_agent import systemd
from edge_agent.command_actions import Means, list_actions
from edge_agent.findings import NOTE, WRONG, Finding
from edge_agent.fleet_desk import FleetDesk
from edge_agent.fleet_membership import LOOK_AGAIN_S, Membership
from edge_agent.hardware import agent_version, hardware_class, installed_runtimes
from edge_agent.home import Home
from edge_agent.home_lock import HomeLock
from edge_agent.http_access import prepare_access
from edge_agent.inbox import take_inbox
from edge_agent.last_good_settings import describe_refused
from edge_agent.memory import Memory
from edge_agent.regular import every
from edge_agent.running_slots import RunningSlots
from edge_agent.self_watch import SelfWatch
from edge_agent.sensors import Sensors
from edge_agent.settings import Settings
from edge_agent.status import STATUS_EVERY_S, Known, StatusWriter
from edge_agent.update.journal import Journal, JournalState
from edge_agent.update.records import Update, Wish
from edge_agent.update.slots import SlotStore
from edge_agent.update.tools import Machinery, Tools
from edge_agent.update.work_time import Turn
from edge_agent.usb_folder import watch_usb_folder
from edge_agent.watchdog import Watchdog
from edge_agent.worker.early_start import EarlyStart
from edge_agent.worker.messages import Access, RuleFired
from edge_agent.worker.self_testing import run_self_test
from edge_agent.worker_folders import settle_identity

STOP_S = 2.5
INBOX_EVERY_S = 1.0

log = logging.getLogger(__name__)


class Supervisor:
    """One running agent. `run` returns when it was told to stop."""

    def __init__(self, home: Home, settings: Settings, early: EarlyStart | None = None) -> None:
        """`early`: a worker that was begun already, for the main slot."""
        self._home = home
        self._early = early
        self._settings = settings
        self.refused_settings = ""  # why others hold than those of `config.json`
        self.boot_id = secrets.token_hex(8)
        self._lock = HomeLock(home.lock)
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._telemetry = Telemetry()
        self._desk: FleetDesk | None = None
        self._status = StatusWriter(home.status, self._known)

    # Life

    async def run(self, until: Callable[["Supervisor"], bool] | None = None) -> None:
        """Serve until SIGTERM, SIGINT, SIGHUP or `stop`, or until `until` holds.

        Raises:
            HomeError, ListenError, IdentityError: it can not begin, with what to do.
        """
        access = prepare_access(self._settings, self._home.folder)
        self._lock.take()
        try:
            self._open(access)
            await self._serve(until)
        finally:
            self._lock.release()

    def _open(self, access: Access) -> None:
        """Read what the agent's folder holds; only whoever has the lock may, since another agent may still be writing."""
        home, settings = self._home, self._settings
        self._store, self._journal, self._memory = SlotStore(home), Journal(home.journal), Memory(home.state / "memory.json")
        self._membership = membership = Membership(home, settings)
        identity, self._no_worker_user = settle_identity(home, settings.worker_user)
        machinery = Machinery(run_self_test=partial(run_self_test, identity=identity))
        tools = Tools(home, self._store, self._memory, settings, Turn(), membership.repository, membership.http, machinery)
        self._tools, self._slots = tools, RunningSlots(tools, self._journal, self, self._begin)
        self._slots.access, self._slots.identity, self._slots.early = access, identity, self._early
        record = membership.identity.record if membership.identity is not None else None
        self._device = record.device if record is not None else ""
        self._hardware_class = record.hardware_class if record is not None else settings.hardware_class or hardware_class()
        self._watch = SelfWatch(Sensors(home.folder), self.boot_id, lambda: self._slots.runners)

    async def _serve(self, until: Callable[["Supervisor"], bool] | None) -> None:
        try:
            await self._start()
            systemd.notify(f"READY=1\nSTATUS={self._slots.describe()}")
            await self._wait(until)
        finally:
            systemd.notify("STOPPING=1")
            await self._end()

    def stop(self) -> None:
        """Begin to end."""
        self._stop.set()

    def is_settled(self) -> bool:
        """Whether no update is under way or waits in the inbox."""
        return not any(self._home.inbox.glob("*.json")) and self._slots.is_settled

    def last_update(self, slot: str) -> Update | None:
        """How the last update of a slot ended."""
        return self._slots.runners[slot].state.update if slot in self._slots.runners else None

    async def _start(self) -> None:
        self._catch_signals()
        self._store.remove_leftovers()
        known = self._journal.read()
        await self._slots.boot(known)
        if known.damage:
            self._set_journal_aside(known)
        self._desk = desk = self._membership.join(self._memory, self, self._begin)
        if desk is not None:
            means = Means(self._tools, self._slots.runners, desk.report_soon)
            self._begin(desk.open_commands(list_actions(means)).run(), "commands")
        self.agent_event(f"the agent started{': ' + known.damage if known.damage else ''}", {})
        for trouble in self._troubles():
            if trouble.verdict == WRONG:
                self.agent_event(trouble.text, {})
        self._begin_loops()

    def _set_journal_aside(self, known: JournalState) -> None:
        log.error("%s. The last known good version serves", known.damage)
        try:
            log.error("The damaged journal is kept as %s", self._journal.set_aside().name)
        except OSError:
            log.exception("The damaged journal could not be set aside")

    def _begin_loops(self) -> None:
        loops = [
            every(lambda: self._telemetry.window_s, self._send_windows, "windows"),
            every(lambda: self._telemetry.health_s, self._send_health, "health"),
            every(lambda: STATUS_EVERY_S, self._write_status, "status"),
            every(lambda: INBOX_EVERY_S, self._take_inbox, "inbox"),
            every(lambda: LOOK_AGAIN_S, self._look_for_identity, "identity"),
        ]
        if self._settings.usb_folder:
            folder, reserve_bytes = self._home.folder / self._settings.usb_folder, self._settings.disk_reserve_bytes
            self._begin(watch_usb_folder(self._home, folder, reserve_bytes, lambda text: self.agent_event(text, {})), "usb-folder")
        interval_s = systemd.watchdog_interval_s()
        if interval_s is not None:
            self._begin(Watchdog(lambda: self._slots.keepers, interval_s).run(), "watchdog")
        self._tasks.update(loops)
        self._send_health()
        self._status.write()
        self._take_inbox()

    def _begin(self, work: Coroutine[None, None, None], name: str) -> None:
        self._tasks.add(asyncio.create_task(work, name=name))

    def _catch_signals(self) -> None:
        """A terminal that is closed ends the agent in order, too, unless `nohup` said that it shall stay."""
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGTERM, signal.SIGINT]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, self._stop.set)

    async def _wait(self, until: Callable[["Supervisor"], bool] | None) -> None:
        while not self._stop.is_set() and not (until is not None and until(self)):
            self._look_after_tasks()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 0.2 if until else 1.0)

    def _look_after_tasks(self) -> None:
        """A task that must run for good has ended: say why, and end so that systemd starts anew."""
        for task in [task for task in self._tasks if task.done()]:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _end(self) -> None:
        keepers = [asyncio.create_task(keeper.stop()) for keeper in self._slots.keepers]
        if keepers:
            await asyncio.wait(keepers, timeout=STOP_S / 2)
        self._flush_windows()
        if self._desk is not None:
            self._desk.send_due(time.monotonic())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S / 2)
        self._slots.close()
        if self._desk is not None:
            self._desk.outbox.close()
        self._status.remove()

    # What slots say

    def slot_changed(self) -> None:
        """A slot's reported state is another."""
        if self._desk is not None:
            self._desk.report_soon()

    def update_moved(self, event: UpdateEvent) -> None:
        """An update took a step."""
        if event.state in FINAL_UPDATE_STATES:
            self._slots.compact_journal()
        if self._desk is not None:
            self._desk.tell("update", "", update=event)

    def agent_event(self, text: str, data: dict[str, str | int | float]) -> None:
        """Something worth an event happened on this device."""
        log.info("%s", text)
        if self._desk is not None:
            self._desk.tell("agent", text, data=data)

    def rule_fired(self, fired: RuleFired, slot: str) -> None:
        """An application's rule fired."""
        if self._desk is not None:
            self._desk.tell("rule", fired.text, data={**fired.data, "slot": slot})

    # What the fleet says

    def wishes_came(self, wishes: dict[str, Wish], telemetry: Telemetry) -> None:
        """Pass wishes on to their slots; a slot that is new is opened."""
        self._telemetry = telemetry
        self._slots.wish(wishes)

    def build_reported(self, revision_seen: int) -> Reported:
        """The device as it is now."""
        return Reported(
            schema_version=Reported.SCHEMA_VERSION,
            device=self._device,
            boot_id=self.boot_id,
            at=utc_now(),
            agent_version=agent_version(),
            hardware_class=self._hardware_class,
            desired_revision_seen=revision_seen,
            slots=self._slots.reported(),
            quarantine=tuple(sorted(self._store.load_quarantine())),
            runtimes=installed_runtimes(),
        )

    # Regular work

    def _send_windows(self) -> None:
        self._flush_windows()
        for keeper in self._slots.keepers:
            keeper.flush()

    def _flush_windows(self) -> None:
        desk = self._desk
        self._slots.take_windows(self.boot_id, desk.keep_window if desk is not None else lambda _: None)

    def _send_health(self) -> None:
        if self._desk is not None:
            self._desk.send_health(self._watch.health(self._desk))

    def _write_status(self) -> None:
        if self._slots.endpoint_trouble:
            self._slots.write_endpoint()
        self._status.write()

    def _known(self) -> Known:
        """For the status page."""
        known = self._watch.known(self._slots.url, self._slots.reported(), len(self._store.load_quarantine()), self._desk)
        return known._replace(troubles=tuple(self._troubles()))

    def _troubles(self) -> list[Finding]:
        """What is wrong with the agent's own folder."""
        found = []
        if self._slots.endpoint_trouble:
            text = f"run/endpoint.json can not be written: {self._slots.endpoint_trouble}; the endpoint answers all the same"
            found.append(Finding("Disk", WRONG, text, "Free some space on the disk, or replace it"))
        if self._desk is not None and self._desk.outbox.trouble:
            text = f"the outbox can not be opened and lives in memory: {self._desk.outbox.trouble}"
            found.append(Finding("Disk", WRONG, text, "Free some space on the disk, or replace it; a restart loses what waits in memory"))
        if self.refused_settings:
            found.append(describe_refused(self._home))
        if self._no_worker_user:
            text = f"models run as the agent's own user and could read its keys: {self._no_worker_user}"
            found.append(Finding("Worker", NOTE, text, "See `Security of the device` in the operator's guide"))
        if self._membership.trouble:
            found.append(Finding("Enrolment", WRONG, self._membership.trouble, "What is installed serves; nothing new comes meanwhile"))
        return found

    def _take_inbox(self) -> None:
        runner, is_member = self._slots.runners[DEFAULT_SLOT], self._membership.is_member
        take_inbox(self._home, runner, revision_seen=self._memory.revision_seen, is_member=is_member)

    def _look_for_identity(self) -> None:
        if self._membership.is_readable_now():
            log.info("The identity can be read again; the agent starts anew")
            self.stop()
