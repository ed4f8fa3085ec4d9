"""What an update waits for, on a simulated device whose clock and sensors the test sets."""

import asyncio
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import pytest

from contract.bundle import BUNDLE_SUFFIX
from contract.messages import UpdatePolicy, UpdateReport
from contract.pairs import describe_pairs
from contract.states import FailureReason, UpdateState
from edge_agent.diagnosis import examine
from edge_agent.heat import Heat
from edge_agent.home import make_home
from edge_agent.sensors import Zone
from edge_agent.update.records import Update, Wish
from edge_agent.update.reports import report_of
from edge_agent.update.waiting import needs_clock
from tests.simulators.disk import SimulatedDisk
from tests.simulators.updates import FOREVER_S, POLICY, Device, World, last_update, make_version

S = UpdateState
T = TypeVar("T")
EVENING = datetime.datetime(2026, 6, 10, 20, 0, tzinfo=datetime.timezone.utc)  # a Wednesday
NIGHT = "02:00-04:00"
MIDNIGHT_WORDS = "waits for its maintenance window, opens 2026-06-11 02:00 UTC"
HOT = Heat((Zone(91.0),))


class Said(NamedTuple):
    """What the fleet hears, and when."""

    at: datetime.datetime
    report: UpdateReport


class WatchedDevice(Device):
    """Writes down what it reports; `on_report` may act on it."""

    said: list[Said]
    on_report: Callable[[UpdateReport], None] = staticmethod(lambda _: None)
    slow_downloads = 0

    def slot_changed(self) -> None:
        update = self.runner.state.update
        if update is not None:
            self.said.append(Said(self.now(), report_of(update)))
            self.on_report(self.said[-1].report)

    async def _in_thread(self, name: str, function: Callable[[], T]) -> T:
        if name == "download" and self.slow_downloads:
            self.slow_downloads -= 1
            await asyncio.sleep(FOREVER_S)
        return await super()._in_thread(name, function)

    def when(self, state: UpdateState) -> datetime.datetime:
        """When it came to a state first."""
        return next(said.at for said in self.said if said.report.state is state)

    def words(self, state: UpdateState) -> list[str]:
        """What it said of a state, one after the other."""
        return [said.report.detail for said in self.said if said.report.state is state and said.report.target.version > 1]


@pytest.fixture
def world() -> World:
    return World({number: make_version(number) for number in (1, 2, 3)})


@pytest.fixture
def device(world: World, tmp_path: Path) -> WatchedDevice:
    """Runs version 1; its clock stands at eight in the evening."""
    world.begins = EVENING
    make_home(tmp_path / "home")
    first = again(world, tmp_path)
    assert first.live([world.wish(1, 1)])
    return again(world, tmp_path)


def again(world: World, folder: Path) -> WatchedDevice:
    found = WatchedDevice(folder / "home", world, SimulatedDisk(folder / "home"))
    found.said = []
    return found


def wish(world: World, number: int, revision: int, **policy: Any) -> Wish:
    return msgspec.structs.replace(world.wish(number, revision), policy=msgspec.structs.replace(POLICY, **policy))


def ended(device: Device) -> Update:
    update = last_update(device.home.folder)
    assert update is not None
    assert not device.world.wrong
    return update


def test_activation_waits_for_its_window_after_the_self_test_and_is_not_late(world: World, device: WatchedDevice) -> None:
    assert device.live([wish(world, 2, 2, activation_windows=(NIGHT,))])
    assert ended(device).state is S.DONE
    assert device.when(S.SELF_TESTING) < EVENING + datetime.timedelta(minutes=5)
    assert EVENING + datetime.timedelta(hours=6) <= device.when(S.ACTIVATING) < EVENING + datetime.timedelta(hours=6, minutes=1)
    assert MIDNIGHT_WORDS in device.words(S.SELF_TESTING)


def test_a_download_waits_for_its_window_before_it_begins(world: World, device: WatchedDevice) -> None:
    assert device.live([wish(world, 2, 2, download_windows=("sun 02:00-04:00", "fri 22:00-02:00"))])
    assert ended(device).state is S.DONE
    assert "waits for its maintenance window, opens 2026-06-12 22:00 UTC" in device.words(S.QUEUED)
    assert device.when(S.PREFLIGHT) >= EVENING + datetime.timedelta(days=2, hours=2)


def test_a_download_pauses_at_the_end_of_its_window_and_goes_on_in_the_next(world: World, device: WatchedDevice) -> None:
    device.slow_downloads = 3  # nights in which it does not get through
    assert device.live([wish(world, 2, 2, download_windows=(NIGHT,))])
    assert ended(device).state is S.DONE
    opens = [words for words in device.words(S.DOWNLOADING) if words]
    assert opens == [f"waits for its maintenance window, opens 2026-06-{day} 02:00 UTC" for day in (12, 13, 14)]
    assert device.when(S.VERIFYING) >= EVENING + datetime.timedelta(days=3, hours=6)


def test_windows_of_the_owner_hold_instead_of_the_operators(world: World, device: WatchedDevice) -> None:
    world.settings = msgspec.structs.replace(world.settings, activation_windows=("21:00-22:00",))
    assert device.live([wish(world, 2, 2, activation_windows=(NIGHT,))])
    assert "waits for its maintenance window, opens 2026-06-10 21:00 UTC" in device.words(S.SELF_TESTING)
    assert device.when(S.ACTIVATING) < EVENING + datetime.timedelta(hours=1, minutes=1)


@pytest.mark.parametrize(("number", "outcome"), [(3, FailureReason.SUPERSEDED), (2, None)])
def test_a_newer_wish_without_windows_need_not_wait(
    number: int, outcome: FailureReason | None, world: World, device: WatchedDevice
) -> None:
    def on_report(report: UpdateReport) -> None:
        if report.detail == MIDNIGHT_WORDS and report.revision == 2:
            device.runner.wish(world.wish(number, 3))

    device.on_report = on_report
    assert device.live([wish(world, 2, 2, activation_windows=(NIGHT,))])
    found = ended(device)
    assert (found.state, found.wish.model.version) == (S.DONE, number)
    assert device.said[-1].at < EVENING + datetime.timedelta(minutes=5)
    assert [event.reason for event in world.events if event.state is S.FAILED] == ([outcome] if outcome else [])


def test_a_wish_that_may_not_be_begun_any_more_does_not_wait_for_its_window(world: World, device: WatchedDevice) -> None:
    late = msgspec.structs.replace(wish(world, 2, 2, download_windows=(NIGHT,)), not_after="2026-06-10T23:00:00Z")
    assert device.live([late])
    assert ended(device).reason is FailureReason.NOT_TRUSTED
    assert "could be begun until" in ended(device).detail
    assert device.when(S.FAILED) < EVENING + datetime.timedelta(hours=3, minutes=1)


def test_a_restart_while_it_waits_counts_no_attempt(world: World, device: WatchedDevice, tmp_path: Path) -> None:
    asked = [wish(world, 2, 2, activation_windows=(NIGHT,))]
    for _ in range(5):
        device.on_report = lambda report, device=device: device.gone.set() if report.detail == MIDNIGHT_WORDS else None
        device.live(asked)
        assert ended(device).waits_for == MIDNIGHT_WORDS
        assert MIDNIGHT_WORDS in next(finding.text for finding in examine(device.home) if finding.subject == "Updates")
        device, asked = again(world, tmp_path), []
    world.begins = EVENING + datetime.timedelta(hours=7)
    assert device.live([])
    assert (ended(device).state, ended(device).attempt) == (S.DONE, 1)


def test_after_a_shadow_run_it_waits_there_and_the_pairs_are_kept(world: World, device: WatchedDevice) -> None:
    asked = world.wish(2, 2, shadow=True)
    asked = msgspec.structs.replace(asked, policy=msgspec.structs.replace(asked.policy, activation_windows=(NIGHT,)))
    assert device.live([asked])
    found = ended(device)
    assert found.state is S.DONE
    assert found.paired is not None
    assert MIDNIGHT_WORDS in device.words(S.SHADOWING)
    assert MIDNIGHT_WORDS not in device.words(S.SELF_TESTING)
    assert device.when(S.ACTIVATING) >= EVENING + datetime.timedelta(hours=6)


def test_a_hot_device_waits_until_it_is_cooler(world: World, device: WatchedDevice) -> None:
    readings = iter([HOT, HOT, Heat((Zone(84.0),)), Heat((Zone(60.0),))])
    world.heat = lambda: next(readings, Heat((Zone(50.0),)))
    assert device.live([world.wish(2, 2)])
    found = ended(device)
    assert found.state is S.DONE
    assert device.words(S.PREFLIGHT) == ["", "waits to cool down: it is hotter than 85 °C", ""]
    assert not any(measured.throttled for measured in found.measured)


def test_a_device_that_stays_hot_fails_the_update_but_does_not_blame_the_version(world: World, device: WatchedDevice) -> None:
    world.heat = lambda: HOT
    assert device.live([world.wish(2, 2)])
    found = ended(device)
    assert (found.state, found.reason) == (S.FAILED, FailureReason.DEVICE_NOT_READY)
    assert "91 °C" in found.detail
    assert not device.store.load_quarantine()


def test_a_device_that_is_no_longer_too_hot_at_the_end_of_its_patience_goes_on(world: World, device: WatchedDevice) -> None:
    readings = iter([HOT])
    world.heat = lambda: next(readings, Heat((Zone(83.5),)))  # not cool enough to stop waiting, not hot enough to fail
    assert device.live([world.wish(2, 2)])
    assert ended(device).state is S.DONE
    assert device.when(S.DOWNLOADING) >= EVENING + datetime.timedelta(hours=1)


def test_sensors_that_can_not_be_read_hold_nothing_up(world: World, device: WatchedDevice) -> None:
    def broken() -> Heat:
        raise OSError(5, "Input/output error")

    world.heat = broken
    assert device.live([world.wish(2, 2)])
    assert ended(device).state is S.DONE


def test_latencies_of_a_device_that_became_hot_are_marked(world: World, device: WatchedDevice) -> None:
    world.heat = lambda: HOT if device.state in {S.STAGED, S.SELF_TESTING} else Heat()
    assert device.live([world.wish(2, 2)])
    found = ended(device)
    assert found.state is S.DONE
    assert all(measured.throttled for measured in found.measured)
    assert "waits to cool down: it is hotter than 85 °C" in device.words(S.STAGED)


def test_a_device_that_the_self_test_made_hot_waits_before_its_shadow_run(world: World, device: WatchedDevice) -> None:
    readings = iter([HOT] * 5)
    world.heat = lambda: next(readings, Heat((Zone(60.0),))) if device.state is S.SHADOWING else Heat()
    assert device.live([world.wish(2, 2, shadow=True)])
    found = ended(device)
    assert found.state is S.DONE
    assert found.paired is not None
    assert found.paired.pairs
    assert found.paired.paused_s == pytest.approx(100, abs=1)
    assert "; paused for 100 s, too hot" in describe_pairs(found.paired)
    assert "waits to cool down: it is hotter than 85 °C" in device.words(S.SHADOWING)


def test_a_device_that_stays_hot_in_the_shadow_fails_the_update_but_does_not_blame_the_version(world: World, device: WatchedDevice) -> None:
    world.heat = lambda: HOT if device.state is S.SHADOWING else Heat()
    assert device.live([world.wish(2, 2, shadow=True)])
    found = ended(device)
    assert (found.state, found.reason) == (S.FAILED, FailureReason.DEVICE_NOT_READY)
    assert "in the shadow, for 3600 s it is hotter" in found.detail
    assert not device.store.load_quarantine()


def test_a_restart_while_it_waits_to_cool_down_in_the_shadow_counts_no_attempt(world: World, device: WatchedDevice, tmp_path: Path) -> None:
    asked = [world.wish(2, 2, shadow=True)]
    for _ in range(4):
        world.heat = lambda device=device: HOT if device.state is S.SHADOWING else Heat()
        device.on_report = lambda report, device=device: device.gone.set() if report.detail.startswith("waits to cool") else None
        device.live(asked)
        assert ended(device).state is S.SHADOWING
        device, asked = again(world, tmp_path), []
    world.heat = Heat
    assert device.live([])
    assert (ended(device).state, ended(device).attempt) == (S.DONE, 1)


def test_an_update_waits_for_a_right_clock_a_day_long(world: World, device: WatchedDevice) -> None:
    def on_report(report: UpdateReport) -> None:
        if report.detail == "waits for a right clock, 1970-01-01 can not be" and len(device.said) < 3:
            world.begins = EVENING

    world.begins = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    asked = msgspec.structs.replace(world.wish(2, 2), not_after="2026-06-10T23:00:00Z")
    device.on_report = on_report
    assert device.live([asked])
    assert ended(device).state is S.DONE


def test_a_clock_that_stays_wrong_fails_the_update(world: World, device: WatchedDevice) -> None:
    world.begins = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    assert device.live([world.wish(2, 2)])
    assert ended(device).reason is FailureReason.DEVICE_NOT_READY
    assert "its clock says 1970" in ended(device).detail


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"package": "a.eyelet"}, False),
        ({"package": "a" + BUNDLE_SUFFIX}, True),
        ({"package": "a.eyelet", "not_after": "x"}, True),
    ],
)
def test_only_what_has_expiry_dates_needs_a_right_clock(changes: dict[str, str], expected: bool, world: World) -> None:
    assert needs_clock(msgspec.structs.replace(world.wish(1, 1), **changes)) is expected


def test_a_policy_of_the_contract_refuses_a_window_that_is_none() -> None:
    with pytest.raises(msgspec.ValidationError, match="is no maintenance window"):
        msgspec.json.decode(b'{"activation_windows": ["2:00 to 4:00"]}', type=UpdatePolicy)
