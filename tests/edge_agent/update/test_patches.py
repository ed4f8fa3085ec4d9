"""Patches against a real HTTP server and a real child; whatever they are, the object is right or the whole file is fetched."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from contract.deltas import Patch, PatchKind
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.package import read_manifest
from contract.states import UpdateState
from edge_agent.home import Home, load_document, make_home
from edge_agent.http_client import ServerHttp
from edge_agent.memory import Memory, Patched, Remembered
from edge_agent.settings import Settings
from edge_agent.update.disk import REAL_DISK, Disk
from edge_agent.update.downloads import DownloadCancelledError
from edge_agent.update.fetching import Fetching
from edge_agent.update.machine import Succeeded
from edge_agent.update.patch_child import rebuild
from edge_agent.update.patches import Savings, describe_savings, fetch_by_patch
from edge_agent.update.plan import Plan
from edge_agent.update.rebuilding import RebuildAnswer, RebuildRequest
from edge_agent.update.records import Update
from edge_agent.update.slots import SlotStore
from edge_agent.update.tools import Machinery, Tools
from edge_agent.update.work_time import Turn
from tests.edge_agent.update.examples import wish
from tests.simulators.artifact_server import ArtifactServer
from tests.simulators.disk import PowerCut, SimulatedDisk, cut_at
from tests.simulators.tuf_folder import TufFolder
from tests.simulators.updates import make_version

T = TypeVar("T")
MODEL = "onnx-float32.onnx"
BASE = random.Random(1).randbytes(60_000)
CHANCE = random.Random(2)
TARGET = bytes((value + CHANCE.choice((0, 0, 1, 255))) % 256 for value in BASE)
ENTRY = FileEntry(sha256_of(TARGET), len(TARGET))
REASONLESS = Machinery()


class Device:
    """An agent's folder with `BASE` in it, and what fetches."""

    def __init__(self, folder: Path, server: ArtifactServer, disk: Disk = REAL_DISK, machinery: Machinery = REASONLESS) -> None:
        self.home = folder if isinstance(folder, Home) else make_home(folder)
        self.http = ServerHttp(server.url, credentials=("pi-01", "secret"))
        self.store = SlotStore(self.home, disk)
        memory = Memory(self.home.state / "memory.json", disk)
        settings = Settings(disk_reserve_bytes=0, download_patience_s=0.2)
        self.tools = Tools(self.home, self.store, memory, settings, Turn(), None, self.http, machinery)

    def fetch(self, entry: FileEntry = ENTRY, cancelled: threading.Event | None = None) -> Savings:
        return asyncio.run(fetch_by_patch(self.tools, self.http, entry, cancelled or threading.Event()))

    @property
    def object(self) -> bytes | None:
        path = self.store.object_path(ENTRY.sha256)
        return path.read_bytes() if path.exists() else None

    def leftovers(self) -> list[str]:
        folder = self.home.objects / ".partial"
        return [path.name for path in folder.iterdir()] if folder.exists() else []


@pytest.fixture(scope="module")
def tuf(tmp_path_factory: pytest.TempPathFactory) -> TufFolder:
    return TufFolder(tmp_path_factory.mktemp("tuf") / "tuf")


@pytest.fixture
def server(tmp_path: Path, tuf: TufFolder) -> Iterator[ArtifactServer]:
    (tmp_path / "server").mkdir()
    server = ArtifactServer(tmp_path / "server", tuf, lambda _: None)
    server.passwords["pi-01"] = "secret"
    yield server
    server.close()


@pytest.fixture
def device(tmp_path: Path, server: ArtifactServer) -> Iterator[Device]:
    device = Device(tmp_path / "home", server)
    device.store.add_object(BASE, sha256_of(BASE))
    yield device
    device.http.close()


@pytest.mark.parametrize("kind", list(PatchKind))
def test_a_patch_becomes_the_object(server: ArtifactServer, device: Device, kind: PatchKind) -> None:
    base, new = (BASE, TARGET) if kind is PatchKind.DIFFERENCE else (BASE, BASE[:30_000] + b"new" + BASE[30_000:])
    entry = FileEntry(sha256_of(new), len(new))
    patch = server.offer_patch(entry.sha256, base, kind, new)
    assert device.fetch(entry) == Savings(1, patch.size_bytes, len(new))
    assert device.store.object_path(entry.sha256).read_bytes() == new
    assert device.leftovers() == []


def test_a_compressed_whole_needs_no_base(server: ArtifactServer, device: Device) -> None:
    new = bytes(range(256)) * 400
    entry = FileEntry(sha256_of(new), len(new))
    server.offer_patch(entry.sha256, b"", PatchKind.ZSTD, new)
    assert device.fetch(entry).files == 1
    assert device.store.object_path(entry.sha256).read_bytes() == new


def test_a_patch_goes_on_where_it_broke_off(server: ArtifactServer, device: Device) -> None:
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    server.cut_after = [500, 400]
    assert device.fetch().files == 1
    assert server.ranges == ["", "bytes=500-", "bytes=900-"]


def test_without_patches_nothing_is_tried(device: Device) -> None:
    assert device.fetch() == Savings()


def test_a_base_that_is_not_here_or_damaged_is_not_used(server: ArtifactServer, device: Device) -> None:
    server.list_patch(ENTRY.sha256, Patch("0" * 64, "difference", 100, "1" * 64), b"")
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    device.store.object_path(sha256_of(BASE)).write_bytes(BASE[:-1] + b"x")
    assert device.fetch() == Savings()
    assert server.ranges == []


def test_a_patch_that_saves_too_little_is_left_alone(server: ArtifactServer, device: Device) -> None:
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.ZSTD, TARGET)  # zstd finds nothing long that matches
    assert device.fetch() == Savings()
    server.patches.clear()
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    (device.home.objects / ".partial").mkdir()
    (device.home.objects / ".partial" / ENTRY.sha256).write_bytes(TARGET[:58_000])
    assert device.fetch() == Savings(), "the rest of the whole is less than the patch"


GOOD = Patch(sha256_of(BASE), "difference", 3, sha256_of(b"abc"))
LIES: list[dict[str, object]] = [
    {"base": "../../state/journal.jsonl"},
    {"kind": "python"},
    {"size_bytes": -1},
    {"size_bytes": 0},
    {"size_bytes": 1 << 70},
]


@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_names_what_can_not_be_is_ignored(server: ArtifactServer, device: Device, lie: dict[str, object]) -> None:
    server.list_patch(ENTRY.sha256, msgspec.structs.replace(GOOD, **lie), b"abc")
    assert device.fetch() == Savings()
    assert server.ranges == []


def test_bytes_that_are_no_patch_are_dropped_and_counted(server: ArtifactServer, device: Device) -> None:
    server.list_patch(ENTRY.sha256, GOOD, b"abc")
    assert device.fetch() == Savings(failed=1)


def test_a_patch_with_other_bytes_than_listed_is_dropped_and_counted(server: ArtifactServer, device: Device) -> None:
    server.list_patch(ENTRY.sha256, GOOD, b"xyz")
    assert device.fetch() == Savings(failed=1)


WRONG = {"other": BASE, "shorter": BASE[:-1], "longer": BASE + b"x", "swelling": bytes(20_000_000)}


@pytest.mark.parametrize("what", WRONG)
def test_a_patch_to_something_else_is_dropped_and_counted(server: ArtifactServer, device: Device, what: str) -> None:
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.ZSTD, WRONG[what])
    assert device.fetch() == Savings(failed=1)
    assert device.object is None
    assert device.leftovers() == []


def test_the_next_patch_is_tried_when_one_fails(server: ArtifactServer, device: Device) -> None:
    wrong = server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, BASE)
    good = server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    assert wrong.size_bytes < good.size_bytes
    assert device.fetch() == Savings(1, good.size_bytes, len(TARGET), 1)
    assert device.object == TARGET


def test_a_list_without_end_is_not_read(server: ArtifactServer, device: Device) -> None:
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    for number in range(1000):
        server.list_patch(ENTRY.sha256, msgspec.structs.replace(GOOD, sha256=f"{number:064}"), b"")
    assert device.fetch() == Savings()


def test_a_cancelled_patch_ends(server: ArtifactServer, device: Device) -> None:
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(DownloadCancelledError):
        device.fetch(cancelled=cancelled)
    assert device.object is None


def test_the_power_may_go_at_every_step(server: ArtifactServer, tmp_path: Path) -> None:
    """After each cut the object is absent or right, and the next try makes it."""
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    for step in range(1, 100):
        home = make_home(tmp_path / f"home-{step}")
        SlotStore(home).add_object(BASE, sha256_of(BASE))
        disk = SimulatedDisk(home.folder, cut_at(step))
        device = Device(home, server, disk, simulated(disk))
        try:
            device.fetch()
        except PowerCut:
            disk.lose_power(random.Random(step))
            assert device.object in (None, TARGET)
            device = Device(home, server, machinery=simulated(REAL_DISK))
            if device.object is None:
                device.fetch()
            assert device.object == TARGET
        else:
            assert device.object == TARGET
            assert step > 6
            return
        finally:
            device.http.close()
    raise AssertionError("it never ended")


def simulated(disk: Disk) -> Machinery:
    """Threads and child on this thread, on this disk."""

    async def rebuild_here(request: RebuildRequest) -> RebuildAnswer:
        return rebuild(request, disk)

    async def here(name: str, function: Callable[[], T]) -> T:
        del name
        return function()

    return Machinery(in_thread=here, rebuild=rebuild_here)


def download(device: Device) -> Succeeded:
    """As an update does it: every file of a plan with one file."""
    fetching = Fetching(device.tools)
    manifest = read_manifest(make_version(2).manifest_bytes)
    manifest = msgspec.structs.replace(manifest, files={**manifest.files, MODEL: ENTRY})
    fetching.plan = Plan(manifest, b"", (MODEL,), ("onnx-float32",))
    return asyncio.run(fetching.download(Update(UpdateState.DOWNLOADING, wish(2, 2))))


def test_a_wrong_patch_falls_back_to_the_whole_and_is_counted(server: ArtifactServer, device: Device) -> None:
    (server.artifacts / ENTRY.sha256).write_bytes(TARGET)
    server.offer_patch(ENTRY.sha256, BASE, PatchKind.ZSTD, BASE)
    assert download(device).detail == "1 patch failed, so the whole was fetched"
    assert device.object == TARGET
    kept = load_document(device.home.state / "memory.json", Remembered)
    assert kept is not None
    assert kept.patched == Patched(failed=1)


def test_an_update_says_what_a_patch_saved(server: ArtifactServer, device: Device) -> None:
    patch = server.offer_patch(ENTRY.sha256, BASE, PatchKind.DIFFERENCE, TARGET)
    assert download(device).detail.startswith("1 file came as a patch: ")
    kept = load_document(device.home.state / "memory.json", Remembered)
    assert kept is not None
    assert kept.patched == Patched(1, len(TARGET) - patch.size_bytes, 0)


def test_savings_in_words() -> None:
    assert describe_savings(Savings()) == ""
    assert describe_savings(Savings(1, 12_345, 2_200_000)) == "1 file came as a patch: 12.3 kB fetched in place of 2.2 MB"
    assert describe_savings(Savings(2, 1, 2, 1)).endswith("; 1 patch failed, so the whole was fetched")
