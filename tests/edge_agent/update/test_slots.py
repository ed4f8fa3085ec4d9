"""Objects, versions and pointers on the disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import ContractError
from contract.messages import VersionRef
from contract.package import Package
from contract.signing import generate_key
from contract.states import FailureReason
from edge_agent.home import make_home
from edge_agent.update.disk import RealDisk
from edge_agent.update.records import ApplicationRef, Installed, Quarantined
from edge_agent.update.slots import CANDIDATE, CURRENT, LAST_KNOWN_GOOD, SlotStore
from tests.simulators.disk import WRITING, Operation, SimulatedDisk
from tests.simulators.packages import make_package

Make = Callable[[int], Package]


@pytest.fixture
def store(tmp_path: Path) -> SlotStore:
    return SlotStore(make_home(tmp_path / "home"))


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    key, folder, made = generate_key(), tmp_path_factory.mktemp("packages"), {}

    def build(version: int) -> Package:
        if version not in made:
            made[version] = make_package(folder / str(version), key=key, version=version)
        return made[version]

    return build


def needed(package: Package) -> list[str]:
    return ["golden.npz", "reference.json", "onnx-float32.onnx"]


def put(store: SlotStore, package: Package) -> Installed:
    """The package's files as objects, then as a version."""
    for name in needed(package):
        if not store.has_object(package.manifest.files[name]):
            store.add_object(package.path_of(name).read_bytes(), package.manifest.files[name].sha256)
    store.assemble(package.digest, package.manifest_bytes, needed(package), package.manifest)
    return Installed(VersionRef(package.manifest.name, package.manifest.version, package.digest), "onnx-float32")


def test_a_version_is_made_of_links_to_its_objects(store: SlotStore, make: Make) -> None:
    package = make(1)
    installed = put(store, package)
    folder = store.version_folder(package.digest)
    assert sorted(path.name for path in folder.iterdir()) == ["golden.npz", "manifest.json", "onnx-float32.onnx", "reference.json"]
    assert (folder / "onnx-float32.onnx").samefile(store.object_path(package.manifest.files["onnx-float32.onnx"].sha256))
    checked = store.check_installed(installed)
    assert checked is not None
    assert checked.digest == package.digest


def test_two_versions_share_what_is_the_same(store: SlotStore, make: Make) -> None:
    first, second = put(store, make(1)), put(store, make(2))
    same = [store.version_folder(which.model.digest) / "onnx-float32.onnx" for which in (first, second)]
    assert same[0].samefile(same[1])


def test_a_version_with_a_wrong_file_never_appears_and_the_wrong_object_goes(store: SlotStore, make: Make) -> None:
    package = make(1)
    for name in needed(package):
        store.add_object(package.path_of(name).read_bytes(), package.manifest.files[name].sha256)
    wrong = store.object_path(package.manifest.files["onnx-float32.onnx"].sha256)
    wrong.write_bytes(bytes(wrong.stat().st_size))
    with pytest.raises(ContractError):
        store.assemble(package.digest, package.manifest_bytes, needed(package), package.manifest)
    assert not store.version_folder(package.digest).exists()
    assert not wrong.exists()
    assert list(store.home.versions.iterdir()) == []


def test_rotten_bits_are_noticed(store: SlotStore, make: Make) -> None:
    installed = put(store, make(1))
    path = store.version_folder(installed.model.digest) / "onnx-float32.onnx"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert store.check_installed(installed) is None
    store.point("main", LAST_KNOWN_GOOD, installed)
    store.point("main", CURRENT, installed)
    slot = store.load_slot("main", None)
    assert (slot.current, slot.last_known_good) == (None, None)


def test_pointers_are_replaced_whole_and_a_torn_one_counts_as_absent(store: SlotStore, make: Make) -> None:
    installed = put(store, make(1))
    store.point("main", CURRENT, installed)
    assert store.pointer("main", CURRENT) == installed
    (store.home.slots / "main" / "current.json").write_bytes(b'{"model":{"mod')
    assert store.pointer("main", CURRENT) is None
    store.point("main", CURRENT, None)
    assert store.pointer("main", CURRENT) is None


def test_garbage_collection_never_touches_what_a_pointer_needs(store: SlotStore, make: Make) -> None:
    one, two, three, four = (put(store, make(version)) for version in (1, 2, 3, 4))
    application = "c" * 64
    store.add_object(b"{}", application)
    store.point("main", CURRENT, Installed(two.model, "onnx-float32", ApplicationRef("watch", 1, application)))
    store.point("main", LAST_KNOWN_GOOD, one)
    store.point("other", CANDIDATE, three)
    kept = "d" * 64
    store.add_object(b"samples", kept)
    store.add_object(b"of no use", "e" * 64)
    assert store.collect_garbage({kept}) == [four.model.digest]
    for installed in (one, two, three):
        assert store.check_installed(installed) is not None
    assert store.object_path(application).exists()
    assert store.object_path(kept).exists()
    assert not store.object_path("e" * 64).exists()


def test_what_a_killed_agent_left_half_made_is_removed(store: SlotStore) -> None:
    (store.home.versions / ".assemble.x").mkdir()
    (store.home.objects / ".a.tmp").write_bytes(b"")
    store.remove_leftovers()
    assert list(store.home.versions.iterdir()) == []
    assert list(store.home.objects.iterdir()) == []


def test_a_version_that_serves_is_completed_in_place_and_never_taken_away(make: Make, tmp_path: Path) -> None:
    removed: list[Path] = []

    class Watched(RealDisk):
        def remove(self, path: Path) -> None:
            removed.append(path)
            super().remove(path)

    store, package = SlotStore(make_home(tmp_path / "home"), Watched()), make(1)
    installed = put(store, package)
    store.add_object(package.path_of("report.json").read_bytes(), package.manifest.files["report.json"].sha256)
    store.assemble(package.digest, package.manifest_bytes, [*needed(package), "report.json"], package.manifest)
    assert (store.version_folder(package.digest) / "report.json").exists()
    assert store.check_installed(installed) is not None
    assert not removed


def test_a_damaged_version_is_made_again(store: SlotStore, make: Make) -> None:
    package = make(1)
    installed = put(store, package)
    folder = store.version_folder(package.digest)
    (folder / "reference.json").unlink()
    assert store.check_installed(installed) is None
    put(store, package)
    assert store.check_installed(installed) is not None
    assert [path.name for path in store.home.versions.iterdir()] == [package.digest]


def test_nothing_is_removed_while_a_pointer_can_not_be_read(store: SlotStore, make: Make) -> None:
    installed = put(store, make(1))
    store.point("main", LAST_KNOWN_GOOD, installed)
    store.pointer_path("main", LAST_KNOWN_GOOD).write_bytes(b"{")
    assert store.collect_garbage() == []
    assert store.check_installed(installed) is not None


def test_a_quarantine_that_could_not_be_written_holds_and_is_written_later(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    disk = SimulatedDisk(home.folder, full)
    store, entries = SlotStore(home, disk), {"d" * 64: Quarantined(3, FailureReason.GOLDEN_MISMATCH)}
    with pytest.raises(OSError, match="No space"):
        store.save_quarantine(entries)
    assert store.load_quarantine() == entries
    disk.interfere = lambda _: None
    store.quarantine.save()
    assert SlotStore(home).load_quarantine() == entries


def full(operation: Operation) -> None:
    if operation.kind in WRITING:
        raise OSError(28, "No space left on device")
