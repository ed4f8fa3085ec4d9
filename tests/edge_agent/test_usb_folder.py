"""A watched folder: each bundle once, the newest of each model, names as plain text, nothing followed."""

import os
from pathlib import Path

import pytest

from contract.bundle import BundleIndex, write_bundle
from contract.files import sha256_of
from contract.manifest import FileEntry
from edge_agent.home import Home, load_document, make_home
from edge_agent.update.records import Wish
from edge_agent.usb_folder import SEEN_MAX, take_new_bundles


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    (tmp_path / "usb").mkdir()
    return tmp_path / "usb"


def put(usb: Path, version: int, *, model: str = "digits", name: str = "") -> Path:
    index = BundleIndex(1, model, version, FileEntry(sha256_of(f"{model} {version}".encode()), 9))
    return write_bundle(usb / (name or f"{model}-{version}.eyelet-bundle"), index, {}, {})


def waiting(home: Home) -> list[tuple[str, int]]:
    wishes = [load_document(path, Wish) for path in home.inbox.glob("*.json")]
    return sorted((wish.model.model, wish.model.version) for wish in wishes if wish is not None)


def look(home: Home, usb: Path) -> list[str]:
    return take_new_bundles(home, usb, 0)


def test_a_bundle_is_taken_once(home: Home, usb: Path) -> None:
    put(usb, 3)
    assert look(home, usb) == ["the bundle digits-3.eyelet-bundle with digits 3 is taken"]
    assert waiting(home) == [("digits", 3)]
    assert look(home, usb) == []


def test_of_each_model_only_the_newest(home: Home, usb: Path) -> None:
    for version in (10, 9, 2):
        put(usb, version)
    put(usb, 1, model="faces")
    look(home, usb)
    assert waiting(home) == [("digits", 10), ("faces", 1)]


def test_a_file_that_changed_is_looked_at_again(home: Home, usb: Path) -> None:
    path = put(usb, 3)
    path.write_bytes(path.read_bytes()[:-5])
    [said] = look(home, usb)
    assert "is not taken" in said
    put(usb, 3)
    assert "is taken" in look(home, usb)[0]


def test_links_folders_and_strange_names_are_left_alone(home: Home, usb: Path, tmp_path: Path) -> None:
    elsewhere = put(tmp_path, 3, name="elsewhere")
    (usb / "link.eyelet-bundle").symlink_to(elsewhere)
    (usb / "folder.eyelet-bundle").mkdir()
    os.mkfifo(usb / "pipe.eyelet-bundle")
    put(usb, 3, name="$(reboot).eyelet-bundle")
    put(usb, 3, name="digits-3.zip")
    assert look(home, usb) == []
    assert waiting(home) == []


def test_a_folder_that_is_not_there_holds_nothing(home: Home, usb: Path) -> None:
    assert look(home, usb / "unplugged") == []


def test_what_was_seen_is_remembered_within_bounds(home: Home, usb: Path) -> None:
    for version in range(1, 40):
        path = put(usb, version)
        look(home, usb)
        path.unlink()
    seen = load_document(home.state / "bundles_seen.json", dict[str, str])
    assert seen is not None
    assert 0 < len(seen) <= SEEN_MAX
