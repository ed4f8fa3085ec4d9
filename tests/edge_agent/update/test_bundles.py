"""Bundles before a real TUF client: what a server could not get past it, a stick can not either."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest

from contract.application import Application, Source
from contract.bundle import BundleIndex, write_bundle
from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.messages import DesiredApplication
from contract.package import Package
from contract.signing import generate_key
from contract.states import FailureReason
from contract.trust import (
    ModelPolicy,
    acceptance_target,
    application_role,
    application_target,
    manifest_target,
    model_role,
    policy_target,
)
from edge_agent.home import Home, make_home
from edge_agent.trust_store import TrustError, pin_root
from edge_agent.update.bundles import bundle_name, fetch_bundled_documents, find_root, take_from_bundle, wish_for_bundle
from edge_agent.update.disk import REAL_DISK
from edge_agent.update.plan import Documents, StepFailedError, build_plan, stated_min_version
from edge_agent.update.records import Wish
from tests.simulators.disk import PowerCut, SimulatedDisk, cut_at
from tests.simulators.packages import make_acceptance, make_package
from tests.simulators.tuf_folder import TufFolder, in_days

KEY = generate_key()
ROLE = model_role("digits")


class Desk:
    """Publishes versions in a repository of its own, and bundles what is in force."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tuf = TufFolder(folder / "tuf")
        self.documents: dict[str, bytes] = {}
        self.packages: dict[int, Package] = {}

    def publish(self, version: int) -> Package:
        package = make_package(self.folder / str(version), key=KEY, version=version)
        self.packages[version] = package
        self.set(manifest_target("digits", version), package.manifest_bytes)
        return package

    def set(self, path: str, data: bytes) -> None:
        self.documents[path] = data
        self.tuf.set_target(ROLE, path, data)

    def bundle(self, home: Home, version: int, *, without: str = "", application: DesiredApplication | None = None) -> Wish:
        """The bundle of a version in a device's inbox, and the wish for it."""
        package = self.packages[version]
        entry = FileEntry(package.digest, len(package.manifest_bytes))
        index = BundleIndex(1, "digits", version, entry, application)
        metadata = {path.name: path.read_bytes() for path in self.tuf.metadata.iterdir() if path.name != without}
        artifacts: dict[str, Path | bytes] = {entry_of(data).sha256: data for data in self.documents.values()}
        artifacts |= {found.sha256: package.path_of(name) for name, found in package.manifest.files.items() if name != without}
        write_bundle(home.inbox / bundle_name(index), index, metadata, artifacts)
        return wish_for_bundle(index)


def entry_of(data: bytes) -> FileEntry:
    return FileEntry(sha256_of(data), len(data))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.publish(1)
    return desk


@pytest.fixture
def home(tmp_path: Path, desk: Desk) -> Home:
    home = make_home(tmp_path / "home")
    (home.trust / "root.json").write_bytes(desk.tuf.root_bytes)
    return home


def fetch(home: Home, wish: Wish) -> Documents:
    return asyncio.run(fetch_bundled_documents(home, wish))


def refusal(home: Home, wish: Wish) -> StepFailedError:
    with pytest.raises(StepFailedError) as caught:
        fetch(home, wish)
    return caught.value


def test_documents_and_files_of_a_good_bundle_are_taken(desk: Desk, home: Home) -> None:
    acceptance, samples = make_acceptance(desk.folder / "acceptance")
    desk.set(acceptance_target("digits"), msgspec.json.encode(acceptance))
    desk.set(policy_target("digits"), encode(ModelPolicy(1, "digits", 1)))
    wish = desk.bundle(home, 1)
    documents = fetch(home, wish)
    plan = build_plan(wish, documents, min_version=stated_min_version(documents, "digits"), runtimes={"onnx"}, agent_version="9.9.9")
    assert plan.acceptance == acceptance
    for name in plan.files:
        take_from_bundle(home, wish, plan.manifest.files[name], REAL_DISK)
        assert (home.objects / plan.manifest.files[name].sha256).read_bytes() == desk.packages[1].path_of(name).read_bytes()
    with pytest.raises(StepFailedError, match="the bundle lacks"):
        take_from_bundle(home, wish, FileEntry("0" * 64, 5), REAL_DISK)
    assert len(samples) == acceptance.samples.size_bytes


def test_an_application_comes_along_and_another_is_refused(desk: Desk, home: Home) -> None:
    document = encode(Application(1, "watch", 1, "digits", Source("folder"), ()))
    path = application_target("watch", 1)
    desk.documents[path] = document
    desk.tuf.set_target(application_role("watch"), path, document)
    wish = desk.bundle(home, 1, application=DesiredApplication("watch", 1, entry_of(document)))
    documents = fetch(home, wish)
    plan = build_plan(wish, documents, min_version=1, runtimes={"onnx"}, agent_version="9.9.9")
    assert plan.application is not None
    assert plan.application.name == "watch"
    other = desk.bundle(home, 1, application=DesiredApplication("watch", 1, entry_of(b"other")))
    with pytest.raises(StepFailedError, match="watch 1"):
        build_plan(other, fetch(home, other), min_version=1, runtimes={"onnx"}, agent_version="9.9.9")


def test_an_older_bundle_than_what_was_seen_is_refused(desk: Desk, home: Home) -> None:
    old = desk.bundle(home, 1)
    old_bytes = (home.inbox / old.package).read_bytes()
    desk.publish(2)
    fetch(home, desk.bundle(home, 2))
    (home.inbox / old.package).write_bytes(old_bytes)
    error = refusal(home, old)
    assert (error.reason, "timestamp version" in error.detail) == (FailureReason.NOT_TRUSTED, True)


def test_expired_metadata_are_refused(desk: Desk, home: Home) -> None:
    desk.tuf.release(expires=in_days(-1))
    error = refusal(home, desk.bundle(home, 1))
    assert (error.reason, "expired (by the clock of this device, 2" in error.detail) == (FailureReason.NOT_TRUSTED, True)


def test_a_bundle_of_another_root_is_refused(desk: Desk, home: Home, tmp_path: Path) -> None:
    (home.trust / "root.json").write_bytes(TufFolder(tmp_path / "other").root_bytes)
    assert refusal(home, desk.bundle(home, 1)).reason is FailureReason.NOT_TRUSTED


def test_without_a_root_nobody_vouches(desk: Desk, home: Home) -> None:
    (home.trust / "root.json").unlink()
    assert "no root of trust" in refusal(home, desk.bundle(home, 1)).detail


def test_a_member_of_a_fleet_goes_by_its_fleets_root(home: Home) -> None:
    assert find_root(home) == home.trust / "root.json"
    (home.identity / "enrolment.json").write_text("{}")
    assert find_root(home) is None
    (home.identity / "root.json").write_text("{}")
    assert find_root(home) == home.identity / "root.json"


def _number(path: Path) -> int:
    number = path.name.partition(".")[0]
    return int(number) if number.isdigit() else 0


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", ROLE])
def test_a_bundle_without_some_metadata_is_refused(desk: Desk, home: Home, role: str) -> None:
    newest = max(desk.tuf.metadata.glob(f"*{role}.json"), key=_number)
    assert f"the bundle has no {newest.name}" in refusal(home, desk.bundle(home, 1, without=newest.name)).detail


def test_a_signed_document_that_was_changed_is_refused(desk: Desk, home: Home) -> None:
    wish = desk.bundle(home, 1)
    path = home.inbox / wish.package
    body = path.read_bytes()
    document = desk.packages[1].manifest_bytes
    path.write_bytes(body.replace(document, document.replace(b"digits", b"digitz")))
    assert refusal(home, wish).reason is FailureReason.NOT_TRUSTED


def test_the_minimum_of_the_owner_holds(desk: Desk, home: Home) -> None:
    desk.publish(2)
    desk.set(policy_target("digits"), encode(ModelPolicy(1, "digits", 2)))
    wish = desk.bundle(home, 1)
    documents = fetch(home, wish)
    with pytest.raises(StepFailedError, match="below version 2") as caught:
        build_plan(wish, documents, min_version=stated_min_version(documents, "digits"), runtimes={"onnx"}, agent_version="9.9.9")
    assert caught.value.reason is FailureReason.WITHDRAWN


def test_an_index_that_lies_is_found_out(desk: Desk, home: Home) -> None:
    """Nobody signs `bundle.json`: it can only name what TUF vouches for."""
    desk.publish(2)
    wish = desk.bundle(home, 1)
    lying = msgspec.structs.replace(wish, model=msgspec.structs.replace(wish.model, version=2))
    with pytest.raises(StepFailedError):
        build_plan(lying, fetch(home, lying), min_version=1, runtimes={"onnx"}, agent_version="9.9.9")


def test_a_file_with_other_bytes_is_refused_and_not_kept(desk: Desk, home: Home) -> None:
    wish = desk.bundle(home, 1)
    name, entry = next((name, entry) for name, entry in desk.packages[1].manifest.files.items() if name.endswith(".onnx"))
    path, content = home.inbox / wish.package, desk.packages[1].path_of(name).read_bytes()
    path.write_bytes(path.read_bytes().replace(content, content[:-1] + bytes([content[-1] ^ 1])))
    with pytest.raises(StepFailedError) as caught:
        take_from_bundle(home, wish, entry, REAL_DISK)
    assert caught.value.reason is FailureReason.NOT_TRUSTED
    assert not (home.objects / entry.sha256).exists()


def test_the_power_may_go_while_a_file_is_taken(desk: Desk, tmp_path: Path) -> None:
    entry = next(entry for name, entry in desk.packages[1].manifest.files.items() if name.endswith(".npz"))
    for step in range(1, 50):
        home = make_home(tmp_path / f"cut-{step}")
        wish = desk.bundle(home, 1)
        disk = SimulatedDisk(home.folder, cut_at(step))
        try:
            take_from_bundle(home, wish, entry, disk)
        except PowerCut:
            disk.lose_power(random.Random(step))
            path = home.objects / entry.sha256
            assert not path.exists() or sha256_of(path.read_bytes()) == entry.sha256
            take_from_bundle(home, wish, entry, REAL_DISK)
            assert sha256_of(path.read_bytes()) == entry.sha256
        else:
            assert step > 5
            return
    raise AssertionError("it never ended")


def test_a_stick_that_is_gone_is_a_failure_in_words(desk: Desk, home: Home) -> None:
    wish = desk.bundle(home, 1)
    (home.inbox / wish.package).unlink()
    assert refusal(home, wish).reason is FailureReason.DOWNLOAD


def test_a_root_is_pinned_by_its_digest_and_once(tmp_path: Path, desk: Desk) -> None:
    root = desk.tuf.root_bytes
    with pytest.raises(TrustError, match="expected 000"):
        pin_root(tmp_path / "trust", root, "000")
    pin_root(tmp_path / "trust", root, entry_of(root).sha256)
    pin_root(tmp_path / "trust", root, entry_of(root).sha256.upper())
    with pytest.raises(TrustError, match="another root is pinned"):
        pin_root(tmp_path / "trust", b"{}", entry_of(b"{}").sha256)
