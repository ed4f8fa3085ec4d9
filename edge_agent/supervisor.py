"""The agent's long-lived process: owns sockets, updates, outbox and the fleet's link; runs no model itself."""

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial

import msgspec

from contract.codec import encode, utc_now
from contract.files import write_atomic
from contract.messages import DEFAULT_SLOT, Reported, ReportedSlot, Telemetry, UpdateEvent, Window
from contract.states import FINAL_UPDATE_STATES
from edge_agent import systemd
from edge_agent.desired_polling import poll_desired
from edge_agent.enrolment import Identity, load_identity
from edge_agent.fleet_desk import Account, FleetDesk
from edge_agent.fleet_link import FleetLink, LinkAccount
from edge_agent.hardware import agent_version, hardware_class, installed_runtimes
from edge_agent.home import Home
from edge_agent.home_lock import HomeLock
from edge_agent.http_access import prepare_access
from edge_agent.http_client import ServerHttp
from edge_agent.inbox import take_inbox
from edge_agent.listening import Listening
from edge_agent.memory import Memory
from edge_agent.outbox import Outbox
from edge_agent.regular import every
from edge_agent.self_watch import SelfWatch
from edge_agent.sensors import Sensors
from edge_agent.settings import Settings
from edge_agent.slot_runner import SlotRunner
from edge_agent.status import STATUS_EVERY_S, Known, StatusWriter
from edge_agent.tuning import forget_choice, load_choice
from edge_agent.update.journal import Journal
from edge_agent.update.records import Installed, Update, Wish
from edge_agent.update.repository import Repository
from edge_agent.update.slots import SlotStore
from edge_agent.update.tools import Tools
from edge_agent.watchdog import Watchdog
from edge_agent.worker.messages import RuleFired
from edge_agent.worker_keeper import Manner, WorkerKeeper

STOP_S = 2.5
INBOX_EVERY_S = 1.0
STARTING_PATIENCE_US = 90_000_000
"""How long `systemd` shall wait for one slot's first worker: more than the keeper does."""

log = logging.getLogger(__name__)


class Supervisor:
    """One running agent. `run` returns when it was told to stop."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self._home = home
        self._settings = settings
        self.boot_id = secrets.token_hex(8)
        self._lock = HomeLock(home.lock)
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: dict[str, Listening] = {}
        self._runners: dict[str, SlotRunner] = {}
        self._indexes = itertools.count()
        self._telemetry = Telemetry()
        self._desk: FleetDesk | None = None
        self._device = ""
        self._hardware_class = settings.hardware_class or hardware_class()
        self._watch = SelfWatch(Sensors(home.folder), self.boot_id, lambda: self._runners)
        self._status = StatusWriter(home.status, self._known)

    # Life

    async def run(self, until: Callable[["Supervisor"], bool] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or `stop`, or until `until` holds.

        Raises:
            HomeError, ListenError, EnrolmentError: it can not begin, with what to do.
        """
        self._access = prepare_access(self._settings, self._home.folder)
        self._lock.take()
        try:
            await self._start()
            systemd.notify(f"READY=1\nSTATUS={self._status_words()}")
            await self._wait(until)
        finally:
            systemd.notify("STOPPING=1")
            await self._end()
            self._lock.release()

    def stop(self) -> None:
        """Begin to end."""
        self._stop.set()

    def is_settled(self) -> bool:
        """Whether no update is under way or waits in the inbox."""
        return not any(self._home.inbox.glob("*.json")) and all(runner.is_settled for runner in self._runners.values())

    def last_update(self, slot: str) -> Update | None:
        """How the last update of a slot ended."""
        return self._runners[slot].state.update if slot in self._runners else None

    async def _start(self) -> None:
        self._catch_signals()
        identity = load_identity(self._home)
        memory, store, journal = Memory(self._home.state / "memory.json"), SlotStore(self._home), Journal(self._home.journal)
        store.remove_leftovers()
        http, repository = self._connect(identity)
        self._tools = Tools(self._home, store, memory, self._settings, asyncio.Lock(), repository, http)
        self._journal = journal
        known = journal.read()
        for name in sorted({DEFAULT_SLOT, *store.slot_names(), *known.updates}):
            systemd.notify(f"STATUS=starting the worker of slot {name}\nEXTEND_TIMEOUT_USEC={STARTING_PATIENCE_US}")
            await self._open_slot(name).boot(known.updates.get(name), known.damage)
        if known.damage:
            self._set_journal_aside(known.damage)
        self._write_endpoint()
        if identity is not None:
            self._join_fleet(identity, memory)
        self.agent_event(f"the agent started{': ' + known.damage if known.damage else ''}", {})
        self._begin_loops()

    def _set_journal_aside(self, damage: str) -> None:
        log.error("%s. The last known good version serves", damage)
        try:
            log.error("The damaged journal is kept as %s", self._journal.set_aside().name)
        except OSError:
            log.exception("The damaged journal could not be set aside")

    def _connect(self, identity: Identity | None) -> tuple[ServerHttp | None, Repository | None]:
        if identity is None:
            return None, None
        record = identity.record
        http = ServerHttp(record.server_url, credentials=(record.device, identity.password), ca_file=identity.ca_file)
        return http, Repository(self._home, record)

    def _open_slot(self, name: str) -> SlotRunner:
        port = self._settings.http_port if name == DEFAULT_SLOT else 0
        unix_path = self._home.run / ("agent.sock" if name == DEFAULT_SLOT else f"{name}.sock")
        listening = Listening(port, unix_path, self._settings.http_host, self._access)
        self._listening[name] = listening
        runner = SlotRunner(name, self._tools, self._journal, self, listening)
        runner.keeper.settings = runner.keeper.settings._replace(inference_deadline_ms=self._settings.inference_deadline_ms)
        runner.keeper.tuned = self._tuned
        runner.keeper.untune = lambda installed: forget_choice(self._home, installed.model.digest)
        self._runners[name] = runner
        self._begin(runner.run(), f"slot-{name}")
        return runner

    def _tuned(self, installed: Installed) -> Manner | None:
        choice = load_choice(self._home, installed.model.digest)
        return Manner(choice.variant, choice.threads) if choice is not None else None

    def _join_fleet(self, identity: Identity, memory: Memory) -> None:
        record = identity.record
        self._device, self._hardware_class = record.device, record.hardware_class
        outbox = Outbox(self._home.outbox, max_bytes=self._settings.outbox_max_bytes)
        self._desk = FleetDesk(self._home, Account(identity, self.boot_id, agent_version()), memory, outbox, self)
        account = LinkAccount(
            mqtt_url=record.mqtt_url,
            fleet=record.fleet,
            device=record.device,
            password=identity.password,
            boot_id=self.boot_id,
            ca_file=identity.ca_file,
            keepalive_s=self._settings.keepalive_s,
        )
        link = FleetLink(account, self._desk)
        self._desk.attach(link)
        self._desk.apply_kept_desired()
        self._begin(link.run(), "fleet-link")
        self._begin(self._desk.pump(), "outbox-pump")
        if self._tools.http is not None:
            desk = self._desk
            self._begin(poll_desired(self._tools.http, lambda: desk.is_connected, desk.take_desired), "poll-desired")

    def _begin_loops(self) -> None:
        loops = [
            every(lambda: self._telemetry.window_s, self._send_windows, "windows"),
            every(lambda: self._telemetry.health_s, self._send_health, "health"),
            every(lambda: STATUS_EVERY_S, self._status.write, "status"),
            every(lambda: INBOX_EVERY_S, self._take_inbox, "inbox"),
        ]
        interval_s = systemd.watchdog_interval_s()
        if interval_s is not None:
            watchdog = Watchdog(lambda: [runner.keeper for runner in self._runners.values()], interval_s)
            self._begin(watchdog.run(), "watchdog")
        self._tasks.update(loops)
        self._send_health()
        self._status.write()
        self._take_inbox()

    def _begin(self, work: Coroutine[None, None, None], name: str) -> None:
        self._tasks.add(asyncio.create_task(work, name=name))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
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
        keepers = [asyncio.create_task(runner.keeper.stop()) for runner in self._runners.values()]
        if keepers:
            await asyncio.wait(keepers, timeout=STOP_S / 2)
        self._flush_windows()
        if self._desk is not None:
            self._desk.send_due(time.monotonic())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S / 2)
        for listening in self._listening.values():
            listening.close()
        if self._desk is not None:
            self._desk.outbox.close()
        self._home.endpoint.unlink(missing_ok=True)
        self._status.remove()

    # What slots say

    def slot_changed(self) -> None:
        """A slot's reported state is another."""
        if self._desk is not None:
            self._desk.report_soon()

    def update_moved(self, event: UpdateEvent) -> None:
        """An update took a step."""
        if event.state in FINAL_UPDATE_STATES:
            self._compact_journal()
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

    def _compact_journal(self) -> None:
        with contextlib.suppress(OSError):
            updates = [(name, runner.state.update) for name, runner in self._runners.items()]
            self._journal.compact((name, update) for name, update in updates if update is not None)

    # What the fleet says

    def wishes_came(self, wishes: dict[str, Wish], telemetry: Telemetry) -> None:
        """Pass wishes on to their slots; a slot that is new is opened."""
        self._telemetry = telemetry
        for name, wish in wishes.items():
            if name not in self._runners:
                self._open_slot(name)
                self._write_endpoint()
            self._runners[name].wish(wish)

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
            slots={name: self._as_tuned(runner) for name, runner in self._runners.items()},
            quarantine=tuple(sorted(self._tools.store.load_quarantine())),
            runtimes=installed_runtimes(),
        )

    def _as_tuned(self, runner: SlotRunner) -> ReportedSlot:
        """A slot as it runs, with the numbers of `tune` where it runs as tuned."""
        slot, manner = runner.reported(), runner.keeper.manner
        choice = load_choice(self._home, slot.current.digest) if slot.current is not None else None
        if choice is None or manner != (choice.variant, choice.threads):
            return slot
        return msgspec.structs.replace(slot, variant=choice.variant, measured=choice.measured)

    # Regular work

    def _send_windows(self) -> None:
        self._flush_windows()
        for runner in self._runners.values():
            runner.keeper.flush()

    def _flush_windows(self) -> None:
        for runner in self._runners.values():
            for window in runner.take_windows(self.boot_id, partial(next, self._indexes)):
                if self._desk is not None:
                    self._desk.keep_window(_as_run(window, runner.keeper))

    def _send_health(self) -> None:
        if self._desk is not None:
            self._desk.send_health(self._watch.health(self._desk))

    def _known(self) -> Known:
        """For the status page."""
        reported = {name: self._as_tuned(runner) for name, runner in self._runners.items()}
        return self._watch.known(self._listening[DEFAULT_SLOT].url, reported, len(self._tools.store.load_quarantine()), self._desk)

    def _take_inbox(self) -> None:
        if self._desk is None:  # of an enrolled device the fleet alone decides what it runs
            take_inbox(self._home, self._runners[DEFAULT_SLOT])

    def _status_words(self) -> str:
        """For `systemctl status`: what serves."""
        return "; ".join(_status_of(name, runner.keeper) for name, runner in self._runners.items())

    def _write_endpoint(self) -> None:
        main = self._listening[DEFAULT_SLOT]
        document = {
            "url": main.url,
            "socket": str(main.unix_path or ""),
            "pid": os.getpid(),
            "slots": {name: listening.url for name, listening in self._listening.items()},
        }
        write_atomic(self._home.endpoint, encode(document))


def _as_run(window: Window, keeper: WorkerKeeper) -> Window:
    """A window of the version that answers, with the variant that `tune` may have put in the place of the self-test's."""
    serving, manner = keeper.serving, keeper.manner
    if serving is None or manner is None or serving.installed.model != window.target or manner.variant == window.variant:
        return window
    return msgspec.structs.replace(window, variant=manner.variant)


def _status_of(slot: str, keeper: WorkerKeeper) -> str:
    if keeper.serving is None:
        return f"{slot}: no model is installed"
    model = keeper.serving.installed.model
    return f"{slot}: {model.model} {model.version} {'serves' if keeper.is_answering else 'does not start, which is tried again'}"
