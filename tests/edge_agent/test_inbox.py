"""What waits in the inbox: lone packages on a device without a fleet, bundles on any."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from contract.bundle import BundleIndex, write_bundle
from contract.errors import SizeError
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.messages import DesiredModel
from edge_agent.home import Home, make_home, save_document
from edge_agent.inbox import drop_bundle, take_inbox
from edge_agent.update.events import Slot
from edge_agent.update.records import Wish
from tests.edge_agent.update.examples import running, wish

MANIFEST = b"manifest"


class Runner:
    """A slot at rest, or one with an update under way; keeps what it is asked for."""

    def __init__(self, state: Slot) -> None:
        self.state = state
        self.wishes: list[Wish] = []

    @property
    def is_settled(self) -> bool:
        return self.state.update is None or self.state.update.is_final

    def wish(self, wish: Wish) -> None:
        self.wishes.append(wish)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def stick(tmp_path: Path) -> Callable[[int], Path]:
    def make(version: int) -> Path:
        index = BundleIndex(1, "digits", version, FileEntry(sha256_of(MANIFEST + bytes([version])), 9))
        return write_bundle(tmp_path / f"digits-{version}.eyelet-bundle", index, {}, {})

    return make


def index_of(version: int) -> BundleIndex:
    return BundleIndex(1, "digits", version, FileEntry(sha256_of(MANIFEST + bytes([version])), 9))


def lone(version: int) -> Wish:
    return Wish(1, DesiredModel("digits", version, FileEntry(f"{version:064x}", 9)), package=f"{version:064x}.eyelet")


def drop_lone(home: Home, version: int) -> None:
    save_document(home.inbox / f"{version:064x}.json", lone(version))


def take(home: Home, runner: Runner, *, seen: int = 0, member: bool = False) -> None:
    take_inbox(home, runner, revision_seen=seen, is_member=member)  # type: ignore[arg-type]


def drop(home: Home, path: Path, version: int) -> Wish:
    return drop_bundle(home, path, index_of(version), reserve_bytes=0)


def under_way(wished: Wish) -> Slot:
    from contract.states import UpdateState
    from edge_agent.update.records import Update

    return msgspec.structs.replace(running(1), update=Update(UpdateState.DOWNLOADING, wished))


def test_a_bundle_is_copied_and_wished_for_after_what_the_fleet_said_last(home: Home, stick: Callable[[int], Path]) -> None:
    drop(home, stick(3), 3)
    runner = Runner(running(1))
    take(home, runner, seen=7, member=True)
    [wished] = runner.wishes
    assert (wished.revision, wished.model.version, wished.is_from_bundle) == (8, 3, True)
    assert (home.inbox / wished.package).is_file()
    assert not list(home.inbox.glob("*.json"))


def test_a_bundle_takes_the_place_of_an_update_that_waits_for_the_server(home: Home, stick: Callable[[int], Path]) -> None:
    drop(home, stick(3), 3)
    runner = Runner(under_way(wish(2, 5)))
    take(home, runner, seen=5, member=True)
    assert [wished.revision for wished in runner.wishes] == [6]


def test_one_bundle_waits_for_the_other(home: Home, stick: Callable[[int], Path]) -> None:
    first = drop(home, stick(3), 3)
    runner = Runner(under_way(first))
    take(home, runner, member=True)
    assert runner.wishes == []


@pytest.mark.parametrize("member", [False, True])
def test_what_waits_for_its_window_gives_way_to_what_is_dropped_after_it(member: bool, home: Home, stick: Callable[[int], Path]) -> None:
    drop(home, stick(3), 3)
    slot = under_way(lone(2))
    assert slot.update is not None
    runner = Runner(msgspec.structs.replace(slot, update=msgspec.structs.replace(slot.update, waits_for="waits for its window")))
    take(home, runner, member=member)
    assert [wished.model.version for wished in runner.wishes] == [3]


def test_a_lone_package_is_nothing_for_a_member_of_a_fleet(home: Home) -> None:
    drop_lone(home, 3)
    runner = Runner(running(1))
    take(home, runner, member=True)
    assert (runner.wishes, len(list(home.inbox.glob("*.json")))) == ([], 1)
    take(home, runner)
    assert [wished.revision for wished in runner.wishes] == [2]


def test_a_damaged_wish_is_dropped(home: Home) -> None:
    (home.inbox / "a.json").write_bytes(b"{")
    take(home, Runner(running(1)))
    assert not list(home.inbox.iterdir())


def test_old_archives_that_nothing_needs_are_removed(home: Home, stick: Callable[[int], Path]) -> None:
    drop(home, stick(3), 3)
    (home.inbox / f"{index_of(3).manifest.sha256}.json").unlink()
    (home.inbox / ".x.eyelet-bundle.abc.tmp").write_bytes(b"")
    take(home, Runner(running(1)))
    assert len(list(home.inbox.iterdir())) == 2, "their wish may just be being written"
    for path in home.inbox.iterdir():
        os.utime(path, (time.time() - 4000,) * 2)
    take(home, Runner(running(1)))
    assert not list(home.inbox.iterdir())


def test_a_bundle_that_does_not_fit_is_refused(home: Home, stick: Callable[[int], Path]) -> None:
    with pytest.raises(SizeError, match="free some space"):
        drop_bundle(home, stick(3), index_of(3), reserve_bytes=1 << 60)
    assert not list(home.inbox.iterdir())
