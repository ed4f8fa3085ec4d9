"""The real half of the kill matrix: SIGKILL for a real agent process in the middle of its updates by a simulated fleet.

At random moments, or as soon as the journal says that a state has begun. After each kill the
pointers on the disk, and that inference is back; at the end of each update what the fleet was told.
"""

import contextlib
import io
import json
import random
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import urllib3
from PIL import Image

from contract.messages import ReportedSlot
from contract.signing import generate_key
from contract.states import FINAL_UPDATE_STATES, FailureReason, UpdateState
from edge_agent.enrolment import enrol
from edge_agent.home import Home, make_home
from edge_agent.update.machine import MAX_ATTEMPTS
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore
from edge_agent.update.table import TABLE
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import QUICK, FleetSimulator
from tests.simulators.kill_cases import AT_REST, STARTING
from tests.simulators.packages import make_frames, make_package
from tests.simulators.waiting import wait_until

DEVICE, SLOT = "pi-01", "main"
STATES = [state.value for state in TABLE if TABLE[state] and state is not UpdateState.ROLLING_BACK]
IN_SHADOW = msgspec.structs.replace(QUICK, shadow_s=0.5)
KILLS_PER_UPDATE = MAX_ATTEMPTS - 1
"""Each costs an attempt at most: a good version is still committed."""
RANDOM_S = 2.5
BACK_S = 15.0
STARTING_SHARE, STARTING_S = 0.1, 0.8
"""How many kills strike a start, and how long after its beginning at most."""
AGAIN_SHARE = 0.5
"""How many kills of a version that serves already are followed by one while that is rolled back."""


class Kill(NamedTuple):
    """One SIGKILL: the row of the matrix it struck, how long inference was away, and what did not hold."""

    row: str
    away_s: float
    wrong: tuple[str, ...]


def _frame() -> bytes:
    body = io.BytesIO()
    Image.fromarray(make_frames(1, 0)[0][0]).save(body, "PNG")
    return body.getvalue()


class KillSite:
    """A fleet and one real agent that is killed again and again. Use as a context manager."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.key, self.png = generate_key(), _frame()
        self.home = folder / "home"
        self.fleet = FleetSimulator(folder / "fleet")
        self.agent = AgentProcess(self.home)
        self.version, self.good, self.bad = 0, 0, ""
        self.banned: set[str] = set()

    def __enter__(self) -> "KillSite":  # noqa: PYI034  (Python 3.10 has no Self)
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        enrol(make_home(self.home), self.fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        self.agent.start()
        revision = self._wish("good")
        wrong = self._wait_for_end(revision, "good")
        if wrong:
            raise AssertionError(wrong)

    def __exit__(self, *given: object) -> None:
        self.agent.kill()
        self.fleet.__exit__(*given)

    def kill_in_one_update(self) -> list[Kill]:
        """An update with up to two kills; the last one's findings hold those of the update's end."""
        kind = self.chance.choice(["good", "good", "good", "wrong-golden"])
        revision, kills = self._wish(kind), []
        for _ in range(KILLS_PER_UPDATE):
            row = self._kill_at_some_moment(revision)
            wrong = self._check_disk()
            away_s = self._restart(wrong)
            kills.append(Kill(row, away_s, tuple(wrong)))
        wrong = self._wait_for_end(revision, kind)
        kills[-1] = kills[-1]._replace(wrong=(*kills[-1].wrong, *wrong))
        return kills

    def _kill_at_some_moment(self, revision: int) -> str:
        """SIGKILL while the update is under way, or a restart from it; returns the row of the matrix."""
        if self.chance.random() < STARTING_SHARE:
            self.agent.kill()
            self.agent.spawn()
            time.sleep(self.chance.uniform(0, STARTING_S))
            self.agent.kill()
            return STARTING
        self._wait_for_moment(revision, self.chance.choice([*STATES, "", "", ""]))
        self.agent.kill()
        row = str(self._last().get("state", ""))
        if row in {UpdateState.ACTIVATING.value, UpdateState.PROBATION.value} and self.chance.random() < AGAIN_SHARE:
            self.agent.spawn()  # it rolls back at once
            self._wait_for_moment(revision, UpdateState.ROLLING_BACK.value)
            self.agent.kill()
            row = str(self._last().get("state", ""))
        return row if row in {*STATES, UpdateState.ROLLING_BACK.value} else AT_REST

    def _wish(self, kind: str) -> int:
        self.version += 1
        package = make_package(self.folder / f"package-{self.version}", key=self.key, version=self.version, kind=kind)
        self.fleet.publish(package)
        return self.fleet.wish(DEVICE, "digits", self.version, policy=IN_SHADOW)

    # The moment

    def _last(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (self.home / "state" / "journal.jsonl").read_bytes().splitlines()
            last: dict[str, Any] = json.loads(lines[-1])
            return last
        return {}

    def _wait_for_moment(self, revision: int, state: str) -> None:
        random_s = self.chance.uniform(0, RANDOM_S)
        begun = time.monotonic()
        while time.monotonic() - begun < random_s + (5.0 if state else 0.0):
            last = self._last()
            same = last.get("revision") == revision
            if state and same and last.get("state") == state:
                return
            if same and UpdateState(last["state"]) in FINAL_UPDATE_STATES:
                return
            time.sleep(0.001)

    # What must hold

    def _check_disk(self) -> list[str]:
        store, wrong = SlotStore(Home(self.home)), []
        for name in (CURRENT, LAST_KNOWN_GOOD):
            installed = store.pointer(SLOT, name)
            if installed is None or store.check_installed(installed) is None:
                wrong.append(f"the pointer {name} names no whole version: {installed}")
            elif installed.model.version not in {self.good, self.version}:
                wrong.append(f"the pointer {name} names version {installed.model.version}")
        known = set(store.load_quarantine())
        if not self.banned <= known:
            wrong.append("a quarantined version was forgotten")
        self.banned = known
        return wrong

    def _restart(self, wrong: list[str]) -> float:
        begun = time.monotonic()
        try:
            self.agent.start()
            wait_until(self._answers, BACK_S, self.agent.read_log)
        except AssertionError as error:
            wrong.append(f"inference did not come back: {error}")
        return time.monotonic() - begun

    def _answers(self) -> int:
        with contextlib.suppress(urllib3.exceptions.HTTPError, OSError, ValueError, AssertionError):
            return int(self.agent.answers(self.png)["model_version"])
        return 0

    def _reported(self, revision: int) -> ReportedSlot | None:
        reported = self.fleet.reported.get(DEVICE)
        slot = reported.slots.get(SLOT) if reported else None
        if slot is None or slot.update is None or slot.update.revision != revision or slot.update.state not in FINAL_UPDATE_STATES:
            return None
        return slot

    def _wait_for_end(self, revision: int, kind: str) -> list[str]:
        """The final report: honest, and what this kind of version deserves."""
        try:
            wait_until(lambda: self._reported(revision), 40, lambda: f"{self._last()} {self.agent.read_log()}")
        except AssertionError as error:
            return [f"no end was reported: {error}"]
        slot, wrong = self._reported(revision), []
        if slot is None or slot.update is None or slot.current is None or slot.last_known_good is None:
            return [f"the report is {slot}"]
        done = slot.update.state is UpdateState.DONE
        if kind == "good" and not done:
            wrong.append(f"a good version ended in {slot.update}")
        if kind != "good" and slot.update.reason is not FailureReason.GOLDEN_MISMATCH:
            wrong.append(f"a bad version ended in {slot.update}")
        self.good = self.version if done else self.good
        told = {slot.current.version, slot.last_known_good.version, self._answers()}
        if told != {self.good}:
            wrong.append(f"version {self.good} should serve, reported and answering are {told}")
        return wrong + self._check_disk()
