"""Publishing to the real fleet server and into a folder, and what the server then says."""

import shutil

import httpx
import msgspec
import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from contract.claims import parse_token
from contract.codec import encode
from contract.files import sha256_of
from contract.package import open_package, write_archive
from contract.rest import ClaimAnswer, ErrorBody, ServerKeys
from contract.signing import generate_key, public_key_to_dict, read_private_key
from desktop_app.errors import ReleaseError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import PublishJob
from desktop_app.release.claims import make_claim
from desktop_app.release.keys import KeyStore, init_keys
from desktop_app.release.local_repository import LocalRepository
from desktop_app.release.outlets import FolderOutlet, ServerOutlet
from desktop_app.release.publishing import (
    AcceptanceFiles,
    publish_application,
    publish_job,
    publish_policy,
    publish_version,
    withdraw_version,
)
from desktop_app.release.renewing import renew_here, renew_server
from desktop_app.release.server_client import ServerClient, ServerError, read_token
from fleet_server.trust.server_keys import rotate_online_key
from tests.desktop_app.release.live_server import running_server, server_in_process
from tests.simulators.packages import make_acceptance, make_package

PASSPHRASE = "correct horse"
APPLICATION = {
    "schema_version": 1,
    "name": "counting",
    "version": 1,
    "model": "colours",
    "source": {"kind": "folder"},
    "sinks": [{"kind": "jsonl"}],
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studio") / "keys"
    init_keys(folder, PASSPHRASE).model_key("colours")
    return folder


@pytest.fixture
def store(keys, tmp_path):
    """Fresh trust for each test: the same keys, and a repository of its own."""
    return KeyStore(shutil.copytree(keys, tmp_path / "keys"), PASSPHRASE)


@pytest.fixture(scope="module")
def made(keys, tmp_path_factory):
    """Versions 1 and 2 of a real package, and an acceptance set."""
    folder, key = tmp_path_factory.mktemp("packages"), KeyStore(keys, PASSPHRASE).model_key("colours")
    packages = [make_package(folder / str(number), key=key, name="colours", version=number) for number in (1, 2)]
    view, samples = make_acceptance(folder / "acceptance", model="colours")
    path = folder / "samples.npz"
    path.write_bytes(samples)
    return packages, AcceptanceFiles(encode(view), view, path)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def shared_store(keys, tmp_path_factory):
    """The studio of the live server; its trust goes on from test to test."""
    return KeyStore(shutil.copytree(keys, tmp_path_factory.mktemp("shared") / "keys"), PASSPHRASE)


@pytest.fixture
def client(live):
    with ServerClient(live.url, live.token) as client:
        yield client


@pytest.fixture
def outlet(client, shared_store):
    return ServerOutlet(client, shared_store)


def test_a_version_reaches_the_server_with_its_acceptance_set(client, outlet, made):
    packages, acceptance = made
    result = publish_version(outlet, packages[0], acceptance)
    again = publish_version(outlet, packages[0], acceptance)
    model = client.get_model("colours")
    assert {view.version: view.digest for view in model.versions}[1] == packages[0].digest == result.digest
    assert model.acceptance_minimum == acceptance.view.minimum_score
    assert (again.new, again.files_sent, again.versions) == (False, 0, {**again.versions, **_signed(outlet)})
    served = client.fetch_metadata("1.root.json")
    assert sha256_of(served) == result.root_sha256
    assert client.fetch_artifact(acceptance.view.samples.sha256) == acceptance.samples.read_bytes()


def _signed(outlet):
    return outlet.repository.versions()


def test_a_second_version_sends_only_its_own_files_and_one_small_role(client, outlet, made):
    packages, acceptance = made
    publish_version(outlet, packages[0], acceptance)
    outlet.repository.add_version("colours", 2, packages[1].manifest_bytes)
    pending = outlet.repository.pending_roles()
    if pending:  # not yet published by another test
        assert {role: len(body) < 2000 for role, body in pending.items()} == {"model-colours": True}
    result = publish_version(outlet, packages[1])
    assert result.files_known > 0
    assert 2 in {view.version for view in client.get_model("colours").versions}


def test_a_number_is_never_used_for_other_content(outlet, made, shared_store, tmp_path):
    publish_version(outlet, made[0][0])
    other = make_package(tmp_path / "other", key=shared_store.model_key("colours"), name="colours", version=1, kind="bad")
    before = outlet.repository.versions()
    with pytest.raises(ReleaseError, match="other content"):
        publish_version(outlet, other)
    assert outlet.repository.versions() == before


def test_what_the_server_refuses_is_forgotten_and_the_next_publication_works(client, outlet, made):
    publish_version(outlet, made[0][0])
    outlet.repository.add_application("broken", 1, b'{"never": "uploaded"}')
    with pytest.raises(ServerError) as caught:
        outlet.release()
    assert 400 <= caught.value.http_code < 500
    assert caught.value.advice
    assert outlet.repository.pending_roles() == {}
    assert not publish_version(outlet, made[0][0]).new


def test_a_version_is_withdrawn_and_the_policy_rises(client, shared_store, tmp_path):
    key = shared_store.model_key("shades")
    outlet = ServerOutlet(client, shared_store)
    for number in (1, 2, 3):
        publish_version(outlet, make_package(tmp_path / str(number), key=key, name="shades", version=number))
    withdraw_version(outlet, "shades", 1)
    publish_policy(outlet, "shades", 2)
    model = client.get_model("shades")
    assert model.min_version == 2
    with pytest.raises(ReleaseError, match="only rise"):
        publish_policy(outlet, "shades", 1)
    with pytest.raises(ReleaseError, match="not published"):
        withdraw_version(outlet, "shades", 1)


def test_an_application_is_published_byte_for_byte(client, outlet):
    document = encode(APPLICATION) + b"\n"
    assert publish_application(outlet, document).new
    assert not publish_application(outlet, document).new
    assert client.fetch_artifact(sha256_of(document)) == document
    with pytest.raises(ReleaseError, match="other content"):
        publish_application(outlet, encode({**APPLICATION, "model": "shades"}))
    with pytest.raises(ReleaseError, match="colour"):
        publish_application(outlet, encode({**APPLICATION, "colour": "red"}))


def test_a_studio_restored_from_an_old_backup_catches_up(client, outlet, made, store):
    publish_version(outlet, made[0][0])
    restored = ServerOutlet(client, store)
    assert restored.repository.versions() == outlet.repository.versions()
    restored.repository.verify()
    assert not publish_version(restored, made[0][0]).new


def test_another_studio_is_not_let_near_this_server(client, outlet, made, tmp_path):
    publish_version(outlet, made[0][0])
    stranger = init_keys(tmp_path / "stranger", "other words")
    with pytest.raises(ReleaseError, match="another studio"):
        ServerOutlet(client, stranger)


def test_a_claim_token_carries_this_studios_root_and_never_shows_its_secret_to_the_server(client, live, outlet, made, shared_store):
    publish_version(outlet, made[0][0])
    claim = parse_token(make_claim(client, shared_store, "pi-01"))
    assert (claim.fleet, claim.device, claim.server_url) == ("demo", "pi-01", live.url)
    assert claim.root_sha256 == outlet.repository.root_digest()
    stored = b"".join(path.read_bytes() for path in live.data.glob("fleet.sqlite*"))
    assert claim.secret.encode() not in stored
    with pytest.raises(ReleaseError, match="not valid"):
        make_claim(client, shared_store, "Pi 01")


def test_the_publish_job_checks_the_package_with_the_studios_own_keys(live, shared_store, made, tmp_path):
    archive = write_archive(made[0][0].folder, tmp_path / "colours-1.eyelet")
    messages = []
    context = JobContext(messages.append, {"passphrase": PASSPHRASE, "token": live.token})
    job = PublishJob(str(archive), live.url, str(shared_store.folder))
    assert publish_job(job, context, project_folder=None).name == "colours"
    foreign = make_package(tmp_path / "foreign", key=generate_key(), name="colours", version=9)
    with pytest.raises(ReleaseError, match="no trusted key"):
        publish_job(PublishJob(str(foreign.folder), live.url, str(shared_store.folder)), context, project_folder=None)
    borrowed = make_package(tmp_path / "borrowed", key=shared_store.model_key("shades"), name="colours", version=9)
    with pytest.raises(ReleaseError, match="expected the key of the model colours"):
        publish_job(PublishJob(str(borrowed.folder), live.url, str(shared_store.folder)), context, project_folder=None)
    with pytest.raises(ReleaseError, match="options"):
        publish_job(PublishJob(str(archive), live.url, str(shared_store.folder), {"colour": 1}), context, project_folder=None)


def test_a_folder_without_a_server_is_a_whole_repository(store, made, tmp_path):
    packages, acceptance = made
    outlet = FolderOutlet(LocalRepository(store, tmp_path / "published"))
    result = publish_version(outlet, packages[0], acceptance)
    metadata = {path.name for path in (tmp_path / "published" / "metadata").iterdir()}
    assert {"1.root.json", "timestamp.json", f"{result.versions['snapshot']}.snapshot.json"} <= metadata
    for name, entry in packages[0].manifest.files.items():
        assert (tmp_path / "published" / "artifacts" / entry.sha256).read_bytes() == packages[0].path_of(name).read_bytes()
    assert result.files_sent == len(packages[0].manifest.files) + 3
    assert publish_version(outlet, packages[0], acceptance).files_sent == 0


# ---------------------------------------------------------------------- a server that was put back from an older copy


ROLES = ("root", "targets", "model-colours", "application-counting")


def put_back(copy, data):
    shutil.rmtree(data)
    shutil.copytree(copy, data)


def test_a_server_put_back_from_an_older_copy_gets_again_what_it_lost(store, made, tmp_path):
    packages, acceptance = made
    data = tmp_path / "data"
    data.mkdir()
    with server_in_process(data) as client:
        publish_application(ServerOutlet(client, store), encode(APPLICATION))
    copy = shutil.copytree(data, tmp_path / "copy")
    with server_in_process(data) as client:
        outlet = ServerOutlet(client, store)
        publish_version(outlet, packages[0], acceptance, min_version=1)
        versions = publish_version(outlet, packages[1]).versions
    put_back(copy, data)
    with server_in_process(data) as client:
        with pytest.raises(ReleaseError, match=r"colours version 1, the acceptance of colours") as caught:
            publish_version(ServerOutlet(client, store), packages[1])
        assert "once more" in caught.value.advice
        result = publish_version(ServerOutlet(client, store), packages[0], acceptance)
        assert (result.new, result.sent_again) == (False, ("model-colours", "targets"))
        assert {role: result.versions[role] for role in ROLES} == {role: versions[role] for role in ROLES}
        assert result.versions["timestamp"] > versions["timestamp"]
        assert [view.version for view in client.get_model("colours").versions] == [1, 2]
        assert publish_version(ServerOutlet(client, store), packages[1]).sent_again == ()


def test_a_server_that_lost_everything_but_its_keys_gets_the_whole_chain_of_roots(store, made, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with server_in_process(data) as client:
        repository = ServerOutlet(client, store).repository
        for key in (generate_key().public, client.online_key()):
            repository.set_online_key(key)
    for path in data.glob("fleet.sqlite*"):
        path.unlink()
    with server_in_process(data) as client:
        assert publish_version(ServerOutlet(client, store), made[0][0]).versions["root"] == 3
        assert all(client.fetch_metadata(f"{version}.root.json") == repository.find_role("root", version) for version in (1, 2, 3))


# ---------------------------------------------------------------------- a server whose keys were stolen


class ClientFetcher(FetcherInterface):
    """Fetches as a device does, through the operator's client."""

    def __init__(self, client):
        super().__init__()
        self.client = client

    def _fetch(self, url):
        body = self.client._fetch(url)
        if body is None:
            raise DownloadHTTPError("not there", 404)
        return iter([body])


def find_on_device(client, folder, path):
    """What a device with a lasting folder makes of the server's metadata."""
    (folder / "targets").mkdir(parents=True, exist_ok=True)
    base = "http://127.0.0.1/v1/tuf/"
    updater = Updater(
        str(folder),
        f"{base}metadata/",
        str(folder / "targets"),
        f"{base}targets/",
        fetcher=ClientFetcher(client),
        bootstrap=client.first_root(),
    )
    return updater.get_targetinfo(path)


def test_after_a_theft_a_new_online_key_goes_into_the_next_root_and_devices_follow(store, made, tmp_path):
    packages, device = made[0], tmp_path / "device"
    (data := tmp_path / "data").mkdir()
    with server_in_process(data) as client:
        outlet = ServerOutlet(client, store)
        publish_version(outlet, packages[0], min_version=1)
        assert find_on_device(client, device, "models/colours/1.json") is not None
        stolen = client.online_key().keyid
    kept = rotate_online_key(data / "keys", "2026-01-02T03:04:05Z")
    assert (kept.name, read_private_key(kept, None).keyid) == ("online-until-2026-01-02T030405.pem", stolen)
    with server_in_process(data) as client:
        with pytest.raises(ReleaseError, match="root of trust names another") as caught:
            publish_version(ServerOutlet(client, store), packages[1])
        assert "keys renew --online-key" in caught.value.advice
        with pytest.raises(ServerError, match="does not let this server's online key"):
            client.publish({})
        with pytest.raises(ReleaseError, match="root of trust names another"):
            renew_server(client, store, ())
        renewal = renew_server(client, store, (), take_online_key=True)
        assert (renewal.root_version, renewal.versions["root"], renewal.new_online_key) == (2, 2, client.online_key().keyid)
        again = ServerOutlet(client, store)
        assert again.repository.folder == outlet.repository.folder
        assert again.repository.online_keyids() == {client.online_key().keyid} != {stolen}
        publish_version(again, packages[1])
        assert find_on_device(client, device, "models/colours/2.json") is not None
        assert parse_token(make_claim(client, store, "pi-02")).root_sha256 == sha256_of(client.first_root())


def test_there_is_nothing_to_renew_before_the_first_publication(store, tmp_path):
    (data := tmp_path / "data").mkdir()
    with server_in_process(data) as client, pytest.raises(ReleaseError, match="nothing was published"):
        renew_server(client, store, ())
    with pytest.raises(ReleaseError, match="nothing was published"):
        renew_here(store, ())


# ---------------------------------------------------------------------- a server that is not there, or is not ours


def answering(answer):
    return ServerClient("http://server", "token", transport=httpx.MockTransport(answer))


def test_a_claim_is_refused_where_the_servers_root_is_another(store, made):
    online = generate_key()

    def answer(request):
        if request.url.path == "/v1/claims":
            return httpx.Response(201, content=encode(ClaimAnswer("demo", "0" * 64)))
        key = public_key_to_dict(online.public)
        return httpx.Response(200, content=encode(ServerKeys(key, key)))

    with answering(answer) as client:
        with pytest.raises(ReleaseError, match="no root of trust"):
            make_claim(client, store, "pi-01")
        from desktop_app.release.repositories import find_repository

        find_repository(store, online.public).set_online_key(online.public)
        with pytest.raises(ReleaseError, match="is not the one this studio published") as caught:
            make_claim(client, store, "pi-01")
    assert "Do not enrol" in caught.value.advice


def test_a_refusal_becomes_one_error_with_its_advice():
    body = encode(ErrorBody("the role is too old", "Fetch it first."))
    with answering(lambda _request: httpx.Response(409, content=body)) as client, pytest.raises(ServerError, match="too old") as caught:
        client.list_devices()
    assert (caught.value.advice, caught.value.http_code) == ("Fetch it first.", 409)
    with answering(lambda _request: httpx.Response(401, content=b"no")) as client, pytest.raises(ServerError) as caught:
        client.list_models()
    assert "operator.token" in caught.value.advice


def test_an_answer_of_another_kind_is_named():
    with (
        answering(lambda _request: httpx.Response(200, content=b'{"fleet": 5}')) as client,
        pytest.raises(ServerError, match="expects"),
    ):
        client.server_info()


def test_an_absent_server_is_said_in_words(monkeypatch):
    monkeypatch.setattr("desktop_app.release.server_client.RETRY_DELAY_S", 0.0)
    with ServerClient("http://127.0.0.1:9", "token") as client, pytest.raises(ServerError, match="did not answer") as caught:
        client.list_devices()
    assert "eyelet-fleet serve" in caught.value.advice
    with pytest.raises(ServerError, match="no address"):
        ServerClient("127.0.0.1:8470", "token")


def test_a_token_file_is_read_with_care(tmp_path):
    (tmp_path / "token").write_text(" secret\n")
    assert read_token(tmp_path / "token") == "secret"
    (tmp_path / "empty").write_text("\n")
    for name in ("empty", "absent"):
        with pytest.raises(ServerError, match=name):
            read_token(tmp_path / name)


def test_a_large_file_is_uploaded_in_pieces(tmp_path):
    seen = []

    def answer(request):
        seen.append((request.method, request.url.path, len(request.read()), request.headers.get("content-length")))
        return httpx.Response(201)

    path = tmp_path / "big"
    path.write_bytes(bytes(3 << 20))
    pieces = []
    with answering(answer) as client:
        client.put_artifact("a" * 64, path, pieces.append)
    assert seen == [("PUT", f"/v1/artifacts/{'a' * 64}", 3 << 20, str(3 << 20))]
    assert pieces == [1 << 20] * 3


def test_a_package_opened_from_the_servers_files_is_the_one_published(client, outlet, made, tmp_path):
    package = made[0][0]
    publish_version(outlet, package)
    folder = tmp_path / "rebuilt"
    for name, entry in package.manifest.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(client.fetch_artifact(entry.sha256))
    (folder / "manifest.json").write_bytes(client.fetch_artifact(package.digest))
    assert open_package(folder, None).digest == package.digest
    assert msgspec.json.decode((folder / "manifest.json").read_bytes())["name"] == "colours"
