"""The studio's TUF role files, and what python-tuf's own client makes of them."""

import datetime
import shutil

import pytest
from tuf.api.exceptions import RepositoryError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from contract.files import sha256_of
from contract.signing import generate_key
from contract.trust import application_target, manifest_target, policy_target
from desktop_app.errors import KeyStoreError, ReleaseError
from desktop_app.release.keys import MOVE_AWAY, RECOVERY_FILE, KeyStore, init_keys
from desktop_app.release.local_repository import LocalRepository
from desktop_app.release.repositories import find_repository
from desktop_app.release.tuf_repository import TufRepository, utc_clock

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio") / "keys"
    init_keys(folder, PASSPHRASE).model_key("digits")
    return folder


class Clock:
    """A time that the test moves; the client's too, since python-tuf takes its time from the updater's set of metadata."""

    def __init__(self):
        self.now = utc_clock()

    def __call__(self):
        return self.now

    def pass_days(self, days):
        self.now += datetime.timedelta(days=days)


class FolderFetcher(FetcherInterface):
    """Reads `file:`-like URLs below a folder, as a web server would answer them."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def _fetch(self, url):
        from tuf.api.exceptions import DownloadHTTPError

        path = self.folder / url.removeprefix("mem://")
        if not path.is_file():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


class Device:
    """A client that keeps what it trusts between visits."""

    def __init__(self, folder, published, clock, root=None):
        self.folder, self.published, self.clock = folder, published, clock
        self.root = root or (published / "metadata" / "1.root.json").read_bytes()

    def fetch(self, path):
        """The target's bytes; None where no role vouches for it."""
        fetcher = FolderFetcher(self.published)
        options = {"target_dir": str(self.folder / "targets"), "fetcher": fetcher, "bootstrap": self.root}
        (self.folder / "targets").mkdir(parents=True, exist_ok=True)
        updater = Updater(str(self.folder / "metadata"), "mem://metadata/", target_base_url="mem://targets/", **options)
        updater._trusted_set.reference_time = self.clock()
        updater.refresh()
        info = updater.get_targetinfo(path)
        if info is None:
            return None
        from pathlib import Path

        return Path(updater.download_target(info)).read_bytes()


@pytest.fixture
def store(keys, tmp_path):
    return KeyStore(shutil.copytree(keys, tmp_path / "keys"), PASSPHRASE)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def local(store, clock, tmp_path):
    """A repository whose online roles are played here, as without a server."""
    return LocalRepository(store, tmp_path / "published", clock)


def publish(local, model="digits", version=1, data=b"manifest"):
    local.repository.add_version(model, version, data)
    local.write_target(manifest_target(model, version), data)
    local.write_metadata()


def test_a_new_version_arrives_at_a_client(local, clock, tmp_path):
    publish(local)
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/1.json") == b"manifest"
    assert device.fetch("models/digits/2.json") is None
    publish(local, version=2, data=b"second")
    assert device.fetch("models/digits/2.json") == b"second"
    local.repository.add_application("counting", 1, b"{}")
    local.write_target(application_target("counting", 1), b"{}")
    local.write_metadata()
    assert device.fetch("applications/counting/1.json") == b"{}"


def test_a_withdrawn_version_is_no_target_any_more(local, clock, tmp_path):
    publish(local)
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/1.json") == b"manifest"
    assert local.repository.withdraw("digits", 1)
    assert not local.repository.withdraw("digits", 1)
    local.write_metadata()
    assert device.fetch("models/digits/1.json") is None


def test_metadata_of_another_studio_is_refused(local, clock, tmp_path):
    publish(local)
    root = (local.folder / "metadata" / "1.root.json").read_bytes()
    other = LocalRepository(init_keys(tmp_path / "other-keys", "x y z"), tmp_path / "other", clock)
    publish(other)
    with pytest.raises(RepositoryError):
        Device(tmp_path / "device", other.folder, clock, root).fetch("models/digits/1.json")


def test_a_role_signed_by_another_models_key_is_refused(local, clock, store, tmp_path):
    publish(local)
    publish(local, model="faces")
    device = Device(tmp_path / "device", local.folder, clock)
    from desktop_app.release.tuf_roles import new_delegated, sign_role

    forged = new_delegated("model-digits", 2, local.repository.targets_of("model-digits"), clock())
    (local.repository.folder / "2.model-digits.json").write_bytes(sign_role("model-digits", forged, [store.model_key("faces")]).body)
    with pytest.raises(ReleaseError, match="does not hold together"):
        local.repository.verify()
    local.write_metadata()
    with pytest.raises(RepositoryError):
        device.fetch("models/digits/1.json")
    assert device.fetch("models/faces/1.json") == b"manifest"


def test_expired_metadata_is_refused_and_renewed_by_publishing(local, clock, tmp_path):
    publish(local)
    device = Device(tmp_path / "device", local.folder, clock)
    clock.pass_days(181)
    with pytest.raises(RepositoryError, match="expired"):
        device.fetch("models/digits/1.json")
    with pytest.raises(ReleaseError, match="model-digits"):
        local.repository.verify()
    assert local.repository.renew() == ["model-digits"]
    local.write_metadata()
    assert device.fetch("models/digits/1.json") == b"manifest"


def test_a_rollback_is_refused(local, clock, tmp_path):
    publish(local)
    old = shutil.copytree(local.folder, tmp_path / "old")
    publish(local, version=2, data=b"second")
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/2.json") == b"second"
    device.published = old
    with pytest.raises(RepositoryError):
        device.fetch("models/digits/1.json")


def test_a_folder_put_back_from_an_older_copy_is_accepted_after_the_next_publication(local, clock, tmp_path):
    publish(local)
    old = shutil.copytree(local.folder, tmp_path / "old")
    for version in (2, 3):
        clock.pass_days(1)
        publish(local, version=version, data=b"newer")
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/3.json") == b"newer"
    shutil.rmtree(local.folder)
    old.rename(local.folder)
    clock.pass_days(1)
    publish(local, version=4, data=b"newest")
    assert device.fetch("models/digits/4.json") == b"newest"


def test_a_changed_target_is_refused(local, clock, tmp_path):
    publish(local)
    for path in (local.folder / "targets" / "models" / "digits").iterdir():
        path.write_bytes(b"manifesT")
    with pytest.raises(RepositoryError):
        Device(tmp_path / "device", local.folder, clock).fetch("models/digits/1.json")


def test_versions_only_rise_and_a_published_version_is_never_exchanged(local):
    publish(local)
    before = local.repository.versions()
    assert not local.repository.add_version("digits", 1, b"manifest")
    assert local.repository.versions() == before
    with pytest.raises(ReleaseError, match="other content"):
        local.repository.add_version("digits", 1, b"another")
    assert local.repository.add_version("digits", 2, b"another")
    assert local.repository.versions()["model-digits"] == before["model-digits"] + 1
    assert local.repository.versions()["targets"] == before["targets"]


def test_the_policy_can_only_rise(local):
    document = local.repository.make_policy("digits", 3)
    assert local.repository.add_policy("digits", document)
    assert local.repository.targets_of("model-digits")[policy_target("digits")].hashes["sha256"] == sha256_of(document)
    assert not local.repository.add_policy("digits", local.repository.make_policy("digits", 3))
    with pytest.raises(ReleaseError, match="only rise"):
        local.repository.make_policy("digits", 2)


def test_pending_roles_are_those_that_have_not_arrived(store, clock, tmp_path):
    repository = TufRepository(tmp_path / "repository", store, clock)
    repository.set_online_key(generate_key().public)
    repository.add_version("digits", 1, b"manifest")
    assert set(repository.pending_roles()) == {"root", "targets", "model-digits"}
    repository.confirm({"root": 1, "targets": 2, "model-digits": 1, "snapshot": 1})
    assert repository.pending_roles() == {}
    repository.add_version("digits", 2, b"second")
    assert {role: len(body) < 1000 for role, body in repository.pending_roles().items()} == {"model-digits": True}


def test_a_new_online_key_makes_the_next_root_and_needs_two_root_keys(store, clock, tmp_path):
    repository = TufRepository(tmp_path / "repository", store, clock)
    first, second = generate_key().public, generate_key().public
    assert repository.set_online_key(first)
    assert not repository.set_online_key(first)
    digest = repository.root_digest()
    shutil.rmtree(store.folder / MOVE_AWAY)
    with pytest.raises(KeyStoreError, match="2 of 3"):
        repository.set_online_key(second)
    assert repository.versions()["root"] == 1
    assert repository.root_digest() == digest


def test_root_rotation_reaches_an_old_client(local, clock, store, tmp_path):
    publish(local)
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/1.json") == b"manifest"
    local.rotate_online_key(generate_key())
    publish(local, version=2, data=b"second")
    assert local.repository.versions()["root"] == 2
    assert device.fetch("models/digits/2.json") == b"second"
    local.repository.verify()


def test_a_device_goes_on_after_the_root_was_renewed_in_its_last_days(local, clock, store, tmp_path):
    publish(local)
    device = Device(tmp_path / "device", local.folder, clock)
    assert device.fetch("models/digits/1.json") == b"manifest"
    clock.pass_days(350)
    assert any("eyelet-studio keys renew" in warning for warning in local.repository.warnings())
    assert local.repository.sign_next_root().version == 2
    assert local.repository.renew() == ["model-digits", "targets"]
    publish(local, version=2, data=b"second")
    clock.pass_days(100)
    assert device.fetch("models/digits/2.json") == b"second"
    assert Device(tmp_path / "late", local.folder, clock, device.root).fetch("models/digits/1.json") == b"manifest"
    local.repository.verify()


def test_the_next_root_needs_a_second_key_and_takes_it_from_a_file(store, clock, tmp_path):
    repository = TufRepository(tmp_path / "repository", store, clock)
    with pytest.raises(ReleaseError, match="no root yet"):
        repository.sign_next_root()
    online = generate_key().public
    repository.set_online_key(online)
    shutil.move(store.folder / MOVE_AWAY, tmp_path / "safe")
    with pytest.raises(KeyStoreError, match="2 of 3"):
        repository.sign_next_root()
    repository.sign_next_root([tmp_path / "safe" / RECOVERY_FILE])
    assert (repository.versions()["root"], repository.online_keyids()) == (2, {online.keyid})


def test_expiries_are_warned_of_sixty_days_before(local, clock):
    publish(local)
    assert local.repository.warnings() == []
    clock.pass_days(121)
    assert local.repository.warnings() == ["model-digits expires in 59 days"]
    clock.pass_days(300)
    assert "root has expired. Renew it with: eyelet-studio keys renew" in local.repository.warnings()


def test_each_server_has_a_repository_of_its_own_found_by_its_key(store, clock):
    one, two = generate_key().public, generate_key().public
    for key in (one, two):
        find_repository(store, key, clock).set_online_key(key)
    assert find_repository(store, one, clock).folder != find_repository(store, two, clock).folder
    assert find_repository(store, one, clock).versions() == {"root": 1, "targets": 1}
    assert find_repository(store, generate_key().public, clock).versions() == {}


def test_a_repository_without_a_root_says_what_to_do(store, clock, tmp_path):
    with pytest.raises(ReleaseError, match="no targets yet"):
        TufRepository(tmp_path / "empty", store, clock).add_version("digits", 1, b"x")
    with pytest.raises(ReleaseError, match="no root of trust"):
        TufRepository(tmp_path / "empty", store, clock).root_digest()
