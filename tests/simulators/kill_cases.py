"""The simulated half of the kill matrix: faults at every operation of an update, and what must hold after each.

A case is a value: the same case does the same again. `run_case` returns what did not hold.
"""

import datetime
import errno
import itertools
import random
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from contract.states import VERSION_FAULTS, FailureReason, UpdateState
from edge_agent.home import Home, make_home
from edge_agent.update.records import Installed, Update, Wish
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore
from edge_agent.update.table import TABLE
from tests.simulators.disk import WRITING, Folder, Operation, PowerCut, SimulatedDisk, keep_tree, put_tree
from tests.simulators.updates import SLOT, Device, Hang, Version, World, last_update, make_version
from tests.simulators.virtual_time import NothingWillHappenError

S = UpdateState
STARTING, AT_REST = "starting", "at rest"
ROWS = (STARTING, *(state.value for state in TABLE if TABLE[state]), AT_REST)
EVENING = datetime.datetime(2026, 6, 10, 21, 55, tzinfo=datetime.timezone.utc)
FRESH = 9  # a good version that nothing ever happened to


class Fault(Enum):
    """The columns of the matrix."""

    ERROR = "error"
    KILL = "SIGKILL"
    HANG = "hang"
    FULL = "disk full"
    CUT = "power cut"


class Scenario(NamedTuple):
    """What a device had, and what it is asked for; numbers are versions."""

    name: str
    before: tuple[int, ...]
    wish: int
    kinds: Mapping[int, str] = MappingProxyType({})
    application: bool = False
    force: bool = False
    then: int = 0  # another wish, that comes in probation, or in the shadow where the first asks for one
    shadow: bool = False
    windows: bool = False  # of which none is open when the wish comes

    @property
    def ends_well(self) -> bool:
        """Whether the update succeeds where nothing interferes."""
        return self.force or self.kinds.get(self.then or self.wish, "good") == "good"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("the first version", (), 1),
        Scenario("the next version", (1,), 2),
        Scenario("another application", (1,), 1, application=True),
        Scenario("a version that the self-test refuses", (1,), 2, {2: "refused"}),
        Scenario("a version that does not start", (1,), 2, {2: "dead"}),
        Scenario("a version that fails in probation", (1,), 2, {2: "failing"}),
        Scenario("a first version that fails", (), 1, {1: "failing"}),
        Scenario("another wish in probation", (1,), 2, then=3),
        Scenario("a version that proves itself in the shadow", (1,), 2, shadow=True),
        Scenario("a version that disagrees in the shadow", (1,), 2, {2: "other"}, shadow=True),
        Scenario("another wish while in the shadow", (1,), 2, then=3, shadow=True),
        Scenario("a first version with nothing to be in the shadow of", (), 1, shadow=True),
        Scenario("a version that waits for its windows", (1,), 2, windows=True),
        Scenario("a quarantined version, forced", (1, 2), 2, {2: "failing"}, force=True),
    )
}


class Case(NamedTuple):
    """One run. `at`: number of the operation that the fault strikes; 0: the work of `state` itself fails or hangs."""

    scenario: str
    fault: Fault
    at: int
    state: str
    seed: int

    def __str__(self) -> str:
        where = f"operation {self.at}" if self.at else "the work"
        return f"{self.fault.value} in {self.state} ({where}) of {self.scenario!r}, seed {self.seed}"


class Template(NamedTuple):
    """A scenario's device before the wish."""

    scenario: Scenario
    versions: dict[int, Version]
    tree: Folder
    good: Installed | None
    operations: tuple[tuple[int, str], ...]  # number and row, of the whole update without a fault


def row_of(state: UpdateState | None) -> str:
    """The row of the matrix that a state belongs to."""
    return STARTING if state is None else state.value if TABLE[state] else AT_REST


def make_template(scenario: Scenario, folder: Path) -> Template:
    """Bring a device to where the scenario begins, then try the update without a fault."""
    versions = {number: make_version(number, scenario.kinds.get(number, "good")) for number in (1, 2, 3, FRESH)}
    make_home(folder)
    world = World(versions)
    for revision, number in enumerate(scenario.before, 1):
        Device(folder, world, SimulatedDisk(folder)).live([world.wish(number, revision)])
    good = SlotStore(Home(folder)).pointer(SLOT, LAST_KNOWN_GOOD)
    template = Template(scenario, versions, keep_tree(folder), good, ())
    trial = Trial(template, Case(scenario.name, Fault.ERROR, -1, "", 0), folder)
    wrong = trial.run()
    if wrong:
        raise AssertionError(f"{scenario.name}, without any fault: {wrong}")
    return template._replace(operations=tuple(trial.operations))


class Trial:
    """One case under way."""

    def __init__(self, template: Template, case: Case, folder: Path) -> None:
        self.template, self.case, self.folder = template, case, folder
        self.scenario = template.scenario
        self.chance = random.Random(f"{case.scenario} {case.fault} {case.at} {case.seed}")
        put_tree(folder, template.tree)
        self.world = World(template.versions)
        if self.scenario.force:
            self.world.kinds[template.versions[self.scenario.wish].entry.sha256] = "good"
        self.revision = len(self.scenario.before) + 1
        asked = self.scenario
        self.wishes = [
            self.world.wish(asked.wish, self.revision, application=asked.application, force=asked.force, shadow=asked.shadow),
        ]
        if asked.windows:
            self.world.begins = EVENING
            policy = msgspec.structs.replace(self.wishes[0].policy, download_windows=("22:00-22:10",), activation_windows=("22:12-22:30",))
            self.wishes = [msgspec.structs.replace(self.wishes[0], policy=policy)]
        self.device: Device
        self.operations: list[tuple[int, str]] = []
        self.struck = ""
        self.faults = 0
        self.is_full = False
        self.more_faults = self.chance.choice([0, 0, 0, 0, 0, 1, 1, 2]) if case.at > 0 else 0
        self.strike_at = case.at
        self.length = self.chance.choice([1, 1, 2, 5])

    def run(self) -> list[str]:
        """Go through all lives of the device; returns what did not hold."""
        try:
            self._note_banned()
            self._live_through_faults()
            self._be_asked_again()
        except NothingWillHappenError:
            self.world.wrong.append("an update waits without a deadline")
        except Exception as error:  # noqa: BLE001  (whatever it is, the agent ended by it)
            self.world.wrong.append(f"the agent ended: {type(error).__name__}: {error}")
        return self.world.wrong

    def _live_through_faults(self) -> None:
        if self.case.at == 0:
            self.world.breaks[UpdateState(self.case.state)] = self.case.fault.value
            self.struck = self.case.state
        if self._life():
            self._check_settled(healthy=self.case.fault is not Fault.FULL and self.case.fault is not Fault.ERROR)
        for _ in range(self.more_faults):
            self.strike_at = self.chance.randint(1, 40)
            self._life()
        self.strike_at = -1
        self.world.breaks.clear()
        if not self._life():
            self.world.wrong.append("the agent ended without a fault")
        self._check_settled(healthy=True)
        self._check_end()

    def _life(self) -> bool:
        """One life of the process; False where the fault ended it."""
        self.is_full = False
        disk = SimulatedDisk(self.folder, self._interfere)
        self.device = Device(self.folder, self.world, disk)
        self.device.on_event = self._deliver_second_wish
        survived = self.device.live(self.wishes[-1:])
        if not survived and self.case.fault is Fault.CUT:
            disk.lose_power(self.chance)
        elif disk.unseen():
            self.world.wrong.append(f"written past the disk: {disk.unseen()}")
        disk.is_dead = True
        self._check_disk()
        self._note_banned()
        return survived

    def _deliver_second_wish(self, event: object) -> None:
        moment = S.SHADOWING if self.scenario.shadow else S.PROBATION
        if self.scenario.then and len(self.wishes) == 1 and getattr(event, "state", None) is moment:
            self.wishes.append(self.world.wish(self.scenario.then, self.revision + 1))
            self.device.runner.wish(self.wishes[-1])

    # The faults

    def _interfere(self, operation: Operation) -> None:
        if self.strike_at < 0:
            self.operations.append((operation.number, row_of(self.device.state)))
        if self.is_full and operation.kind in WRITING:
            raise OSError(errno.ENOSPC, "No space left on device")
        length = self.length if self.case.fault is Fault.ERROR else 1
        if self.strike_at > 0 and self.strike_at <= operation.number < self.strike_at + length:
            self.struck = self.struck or row_of(self.device.state)
            self.faults += 1
            self._strike(operation)

    def _strike(self, operation: Operation) -> None:
        fault = self.case.fault
        if fault is Fault.ERROR:
            raise OSError(errno.EIO, "Input/output error")
        if fault is Fault.HANG and self.device.in_work_thread:
            raise Hang
        if fault is not Fault.FULL:
            raise PowerCut  # a hang outside of a thread is ended by the watchdog
        self.is_full = True
        if operation.kind in WRITING:
            raise OSError(errno.ENOSPC, "No space left on device")

    # What must hold

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.world.wrong.append(otherwise)

    def _check_disk(self) -> None:
        """Whatever happened: the pointers name whole versions, and the last known good one is not lost."""
        store, update = SlotStore(Home(self.folder)), last_update(self.folder)
        for name in (CURRENT, LAST_KNOWN_GOOD):
            if store.pointer_path(SLOT, name).exists():
                installed = store.pointer(SLOT, name)
                self._expect(store.check_installed(installed) is not None, f"the pointer {name} names no whole version: {installed}")
        good, before = store.pointer(SLOT, LAST_KNOWN_GOOD), self.template.good
        if good != before:
            committed = [installed for installed in self.world.served if installed == good]
            self._expect(good is not None, "the last known good version is lost")
            self._expect(bool(committed), f"last known good became {good}, which never served")
            self._expect(update is not None and update.state in _AFTER_COMMIT, f"last known good moved in {update and update.state}")

    def _check_settled(self, *, healthy: bool) -> None:
        device, state = self.device, self.device.runner.state
        update, serving, reported = state.update, device.runner.keeper.serving, device.runner.reported()
        if update is None or not update.is_final:
            self._expect(update is None and not healthy, f"an update ended in {update and update.state}")
            return
        served = serving.installed if serving else None
        self._expect(served == state.current, f"{served} serves, the slot says {state.current}")
        self._expect(reported.current == (served.model if served else None), f"reported is {reported.current}, {served} serves")
        self._expect(served is not None or state.last_known_good is None, "nothing serves, though there is a last known good version")
        if update.state is S.DONE:
            self._expect(update.candidate == served == state.last_known_good, f"done, but {served} serves")
        else:
            self._expect(update.reason is not None, f"{update.state} without a reason")
            before = state.last_known_good or (None if healthy else served)  # a pointer that can not be read now is not lost
            self._expect(served == before, f"{update.state}, but {served} serves, not {before}")
        if healthy:
            self._check_healthy(update)

    def _check_healthy(self, update: Update) -> None:
        """The disk says the same as the memory."""
        state, store = self.device.runner.state, SlotStore(Home(self.folder))
        for name, installed in ((CURRENT, state.current), (LAST_KNOWN_GOOD, state.last_known_good)):
            self._expect(store.pointer(SLOT, name) == installed, f"the pointer {name} is {store.pointer(SLOT, name)}, not {installed}")
        self._expect(last_update(self.folder) == update, "the journal says something else than the slot")
        self._expect(set(store.load_quarantine()) == set(state.quarantine), "the quarantine on the disk is another")

    def _check_end(self) -> None:
        """Where only the process or the power went, the update ends as it would have."""
        update = self.device.runner.state.update
        interrupted = self.case.fault in {Fault.KILL, Fault.CUT} and self.faults <= 2
        if update is None or not (interrupted or self.case.at < 0):
            return
        self._expect(update.wish.revision == self.wishes[-1].revision, "the newest wish was not taken up")
        if self.scenario.ends_well or len(self.wishes) > 1:
            self._expect(update.state is S.DONE, f"a good version ended in {update.state}: {update.reason}, {update.detail}")
        else:
            self._expect(update.reason in VERSION_FAULTS, f"a bad version ended in {update.state}: {update.reason}")
            self._expect(update.wish.model.manifest.sha256 in self.device.store.load_quarantine(), "a bad version is not quarantined")

    def _note_banned(self) -> None:
        """What must not be activated again, by what is on the disk."""
        update = last_update(self.folder)
        banned = set(SlotStore(Home(self.folder)).load_quarantine())
        if update is not None and update.state in _BAD_ENDS and update.reason in VERSION_FAULTS:
            good = SlotStore(Home(self.folder)).pointer(SLOT, LAST_KNOWN_GOOD)
            if good is None or good.model != update.wish.model.ref:
                banned.add(update.wish.model.manifest.sha256)
        self.world.banned = banned

    def _be_asked_again(self) -> None:
        """A quarantined version is refused; a fresh one is taken: the device can always be updated."""
        update, revision = self.device.runner.state.update, self.revision + 10
        if update is not None and update.wish.model.manifest.sha256 in self.world.banned and not update.wish.model.force:
            self._wish_once(self.world.wish(update.wish.model.version, revision))
            again = self.device.runner.state.update
            self._expect(again is not None and again.reason is FailureReason.QUARANTINED, "a quarantined version was tried again")
        self._wish_once(self.world.wish(FRESH, revision + 1))
        again = self.device.runner.state.update
        self._expect(again is not None and again.state is S.DONE, f"the device takes no update any more: {again}")

    def _wish_once(self, wish: Wish) -> None:
        self.wishes.append(wish)
        self.template = self.template._replace(good=SlotStore(Home(self.folder)).pointer(SLOT, LAST_KNOWN_GOOD))
        operations = len(self.operations)
        self._life()
        del self.operations[operations:]


_AFTER_COMMIT = {S.COMMITTING, S.DONE, S.QUEUED}
_BAD_ENDS = {S.FAILED, S.ROLLING_BACK, S.ROLLED_BACK}


def run_case(template: Template, case: Case, folder: Path) -> tuple[str, list[str]]:
    """The row in which the fault struck ("" where it never did), and what did not hold."""
    trial = Trial(template, case, folder)
    wrong = trial.run()
    return trial.struck, wrong


def plan_cases(templates: dict[str, Template], *, cuts: int, every: int, seed: int, every_work: int = 1) -> Iterator[Case]:
    """`cuts` power cuts spread evenly over the rows, and each other fault at every `every`-th operation.

    And error and hang of the work of every state that a scenario comes to, or of each `every_work`-th.
    """
    chance = random.Random(seed)
    places: dict[str, list[tuple[str, int]]] = {row: [] for row in ROWS}
    for name, template in templates.items():
        for number, row in template.operations:
            places[row].append((name, number))
    for index in range(cuts):
        row = ROWS[index % len(ROWS)]
        name, number = chance.choice(places[row])
        yield Case(name, Fault.CUT, number, row, seed + index)
    for fault in (Fault.ERROR, Fault.KILL, Fault.HANG, Fault.FULL):
        for row in ROWS:
            for name, number in itertools.islice(places[row], chance.randrange(every), None, every):
                yield Case(name, fault, number, row, seed)
    yield from itertools.islice(_works(templates, seed), None, None, every_work)


def _works(templates: dict[str, Template], seed: int) -> Iterator[Case]:
    """A state that a scenario never comes to has no work that could fail."""
    for fault in (Fault.ERROR, Fault.HANG):
        for row in ("queued", "preflight", "downloading", "self_testing", "shadowing", "activating", "probation", "rolling_back"):
            if (fault, row) != (Fault.ERROR, "queued"):
                known = (name for name, template in templates.items() if any(row == found for _, found in template.operations))
                yield from (Case(name, fault, 0, row, seed) for name in known)
