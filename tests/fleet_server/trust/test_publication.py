import asyncio
import contextlib
import dataclasses
import datetime
import sqlite3
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from contract.codec import encode
from contract.manifest import FileEntry
from contract.rest import ErrorBody
from contract.signing import generate_key, public_key_to_dict
from contract.trust import manifest_target, model_role
from fleet_server.api.application import build_application
from fleet_server.devices.credentials import Credentials
from fleet_server.store import schema
from fleet_server.store.database import Database
from fleet_server.trust.publication import renew_online_roles
from tests.fleet_server.conftest import TOKEN, AppTransport
from tests.simulators.studio import make_manifest

ROLE = model_role("digits")


def refused(response, *words):
    assert response.status_code in {409, 413, 422}, response.text
    body = ErrorBody(**response.json())
    for word in words:
        assert word in body.error, body.error
    return body


def stored(floor):
    return floor.database.read(
        lambda connection: sorted(connection.execute(select(schema.tuf_metadata.c.role, schema.tuf_metadata.c.version)).all())
    )


class Fetcher(FetcherInterface):
    """Fetches through the operator's client."""

    def __init__(self, client) -> None:
        self.client = client

    def _fetch(self, url):
        from tuf.api.exceptions import DownloadHTTPError

        response = self.client.get(url)
        if response.is_error:
            raise DownloadHTTPError("not there", response.status_code)
        yield response.content


def device_updater(client, tmp_path, root):
    metadata = tmp_path / "tuf-metadata"
    metadata.mkdir(exist_ok=True)
    (tmp_path / "tuf-targets").mkdir(exist_ok=True)
    base = "http://127.0.0.1/v1/tuf/"
    return Updater(
        str(metadata), f"{base}metadata/", str(tmp_path / "tuf-targets"), f"{base}targets/", fetcher=Fetcher(client), bootstrap=root
    )


def test_a_device_finds_what_the_studio_published(studio, client, tmp_path):
    studio.set_up("digits")
    entry = studio.publish_version("digits", 1)
    updater = device_updater(client, tmp_path, studio.roots[0])
    info = updater.get_targetinfo(manifest_target("digits", 1))
    assert Path(updater.download_target(info)).stat().st_size == entry.size_bytes
    studio.publish_version("digits", 2)
    again = device_updater(client, tmp_path, studio.roots[0])
    assert again.get_targetinfo(manifest_target("digits", 2)) is not None


def test_a_server_that_missed_roots_takes_the_whole_chain(studio, client, floor):
    studio.set_up("digits")
    strange = public_key_to_dict(generate_key().public)
    chain = [studio.sign_root(version=2, online=strange), studio.sign_root(version=3), studio.sign_root(version=4)]
    refused(studio.publish(roots=chain[:1], root=chain[2]), "version 4, expected 3")
    refused(studio.publish(roots=[studio.sign_root(version=2, signers=(0,)), chain[1]], root=chain[2]), "1/2")
    studio.publish(roots=chain[:2], root=chain[2]).raise_for_status()
    assert [version for role, version in stored(floor) if role == "root"] == [1, 2, 3, 4]
    assert client.get("/v1/tuf/metadata/2.root.json").content == chain[0]


def test_the_first_publication_needs_a_root(studio):
    refused(studio.publish(targets=studio.sign_targets()), "no TUF root")


def test_a_root_signed_by_one_person_is_refused(studio):
    refused(studio.publish(root=studio.sign_root(signers=(0,)), targets=studio.sign_targets()), "root", "1/2")


def test_a_root_that_one_key_may_change_is_refused(studio):
    refused(studio.publish(root=studio.sign_root(threshold=1), targets=studio.sign_targets()), "expected 2")


def test_a_root_with_another_servers_online_key_is_refused(studio):
    stranger = public_key_to_dict(generate_key().public)
    refused(studio.publish(root=studio.sign_root(online=stranger), targets=studio.sign_targets()), "online key")


def test_publishing_the_same_twice_changes_nothing(studio, floor):
    root, targets = studio.sign_root(), studio.sign_targets()
    studio.publish(root=root, targets=targets).raise_for_status()
    before = stored(floor)
    studio.publish(root=root, targets=targets).raise_for_status()
    assert stored(floor) == before


def test_root_two_needs_the_old_keys_and_the_new(studio, floor):
    studio.set_up("digits")
    old = studio.root_keys
    studio.root_keys = [generate_key() for _ in range(3)]
    refused(studio.publish(root=studio.sign_root(version=2)), "0/2")
    studio.root_keys = old
    studio.publish(root=studio.sign_root(version=2)).raise_for_status()
    refused(studio.publish(root=studio.sign_root(version=4)), "version 4, expected 3")
    assert ("root", 2) in stored(floor)


@pytest.mark.parametrize("role", ["snapshot", "timestamp"])
def test_nobody_sends_what_the_server_signs(studio, role):
    studio.set_up("digits")
    refused(studio.publish(**{role: studio.sign_targets()}), "no delegation names")


def test_a_role_signed_by_another_key_is_refused(studio, floor):
    studio.set_up("digits")
    before = stored(floor)
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {}, key=generate_key())}), ROLE, "0/1")
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {}, key=floor.keys.online)}), ROLE, "0/1")
    assert stored(floor) == before


def test_a_role_may_not_list_another_models_files(studio):
    studio.set_up("digits")
    entry = studio.upload(b"{}")
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {"models/other/1.json": entry})}), "models/other/1.json", "may not sign")


def test_a_delegation_may_not_reach_beyond_its_name(studio):
    studio.set_up("digits")
    wide = Metadata[Targets].from_bytes(studio.sign_targets())
    wide.signed.delegations.roles[ROLE].paths = ["*"]
    wide.sign(studio.targets_key.signer)
    refused(studio.publish(targets=wide.to_bytes()), ROLE, "expected")


def test_of_two_studios_the_slower_one_is_told(studio):
    studio.set_up("digits")
    studio.publish_version("digits", 1)
    response = studio.publish(**{ROLE: studio.sign_role(ROLE, {}, version=2)})
    assert response.status_code == 409
    assert "Somebody else" in response.json()["advice"]


def test_an_expired_role_is_refused(studio, monkeypatch):
    studio.set_up("digits")
    body = Metadata[Targets].from_bytes(studio.sign_role(ROLE, {}))
    body.signed.expires = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    body.sign(studio.role_keys[ROLE].signer)
    refused(studio.publish(**{ROLE: body.to_bytes()}), "expired on 2020-01-01")


def test_files_must_have_been_uploaded_whole(studio, client):
    studio.set_up("digits")
    files = {name: FileEntry("a" * 64, 5) for name in ("model.onnx", "golden.npz", "reference.json", "report.json", "model_card.md")}
    manifest = studio.upload(encode(make_manifest("digits", 1, files)))
    path = manifest_target("digits", 1)
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {path: FileEntry("b" * 64, 7)})}), "was not uploaded")
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {path: FileEntry(manifest.sha256, 7)})}), "7")
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {path: manifest})}), "golden.npz")
    assert client.get("/v1/models/digits").status_code == 404 or client.get("/v1/models/digits").json()["versions"] == []


@pytest.mark.parametrize("document", [b"{}", b"not json", b'{"schema_version":99}'])
def test_a_manifest_that_is_none_is_refused(studio, document):
    studio.set_up("digits")
    entry = studio.upload(document)
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {manifest_target("digits", 1): entry})}), "manifest")


def test_a_manifest_under_another_number_is_refused(studio):
    studio.set_up("digits")
    entry = studio.publish_version("digits", 1)
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {manifest_target("digits", 2): entry})}), "version 1")


def test_a_number_is_used_once(studio, client):
    studio.set_up("digits")
    studio.publish_version("digits", 1)
    files = {name: studio.upload(b"other") for name in ("model.onnx", "golden.npz", "reference.json", "report.json", "model_card.md")}
    entry = studio.upload(encode(make_manifest("digits", 1, files)))
    refused(studio.publish(**{ROLE: studio.sign_role(ROLE, {manifest_target("digits", 1): entry})}), "exists with other content")


def test_a_version_that_leaves_the_role_is_withdrawn_and_may_come_back(studio, client):
    studio.set_up("digits")
    entry = studio.publish_version("digits", 1)
    studio.publish_version("digits", 2)
    listed = studio.listed(ROLE)
    studio.publish(
        **{ROLE: studio.sign_role(ROLE, {path: file for path, file in listed.items() if "1.json" not in path})}
    ).raise_for_status()
    assert [version["version"] for version in client.get("/v1/models/digits").json()["versions"]] == [2]
    assert client.get(f"/v1/tuf/targets/models/digits/{entry.sha256}.1.json").status_code == 404
    studio.publish(**{ROLE: studio.sign_role(ROLE, listed)}).raise_for_status()
    assert [version["version"] for version in client.get("/v1/models/digits").json()["versions"]] == [1, 2]


def test_min_version_only_rises(studio, client):
    studio.set_up("digits")
    studio.publish_version("digits", 1)
    studio.publish_policy("digits", 2).raise_for_status()
    assert client.get("/v1/models/digits").json()["min_version"] == 2
    refused(studio.publish_policy("digits", 1), "lowers min_version")


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_nonsense_is_refused_with_a_reason(studio, body):
    studio.set_up("digits")
    refused(studio.publish(**{ROLE: body}), ROLE)


def test_too_much_is_refused(studio):
    studio.set_up("digits")
    refused(studio.publish(**{ROLE: b"x" * (3 << 20)}), "at most")
    refused(studio.publish(**{f"model-{i}": b"{}" for i in range(100)}), "at most 64")


def test_snapshot_and_timestamp_are_renewed_before_they_expire(studio, floor, clock, client):
    studio.set_up("digits")

    def renew():
        return floor.database.write(lambda connection: renew_online_roles(connection, floor.keys.online, clock()))

    assert renew() == []
    clock.now += 8 * 86400
    assert renew() == ["timestamp"]
    clock.now += 31 * 86400
    assert renew() == ["snapshot", "timestamp"]
    timestamp = Metadata[Timestamp].from_bytes(client.get("/v1/tuf/metadata/timestamp.json").content).signed
    assert timestamp.version == timestamp.snapshot_meta.version == int(clock.now * 1000)
    snapshot = Metadata[Snapshot].from_bytes(client.get(f"/v1/tuf/metadata/{timestamp.version}.snapshot.json").content).signed
    assert set(snapshot.meta) == {"targets.json", f"{ROLE}.json"}


@pytest.fixture
def put_back(floor, tmp_path):
    """Keeps a copy of the database; `put_back.now()` gives a client of a server that goes on from that copy."""
    with contextlib.ExitStack() as stack:
        yield PutBack(floor, tmp_path, stack)


class PutBack:
    def __init__(self, floor, folder, stack):
        self.floor, self.folder, self.path, self.stack = floor, folder, folder / "copy.sqlite", stack

    def keep(self):
        source, copy = sqlite3.connect(self.folder / "fleet.sqlite"), sqlite3.connect(self.path)
        with contextlib.closing(source), contextlib.closing(copy):
            source.backup(copy)

    def now(self):
        database = self.stack.enter_context(Database(self.path))
        floor = dataclasses.replace(self.floor, database=database, credentials=Credentials(database))
        transport = AppTransport(build_application(floor), self.stack.enter_context(asyncio.Runner()))
        headers = {"authorization": f"Bearer {TOKEN}"}
        return self.stack.enter_context(httpx.Client(transport=transport, base_url="http://127.0.0.1", headers=headers))


def test_a_server_put_back_from_an_older_copy_signs_above_what_devices_saw(studio, client, clock, put_back, tmp_path):
    studio.set_up("digits")
    put_back.keep()
    for version in (1, 2):
        clock.now += 60
        entry = studio.publish_version("digits", version)
    path = manifest_target("digits", 2)
    assert device_updater(client, tmp_path, studio.roots[0]).get_targetinfo(path) is not None
    clock.now += 3600
    studio.client = older = put_back.now()
    with pytest.raises(RepositoryError):
        device_updater(older, tmp_path, studio.roots[0]).get_targetinfo(path)
    studio.publish(**{ROLE: studio.roles[ROLE].to_bytes()}).raise_for_status()  # the very role file that was lost
    info = device_updater(older, tmp_path, studio.roots[0]).get_targetinfo(path)
    assert info.hashes["sha256"] == entry.sha256


def test_a_database_whose_numbers_are_small_or_ahead_of_the_clock_goes_on(studio, floor, client, clock):
    studio.set_up("digits")
    ahead = int(clock.now * 1000) + 50_000

    def renumber(connection):
        connection.execute(update(schema.tuf_metadata).where(schema.tuf_metadata.c.role == "timestamp").values(version=7))
        connection.execute(update(schema.tuf_metadata).where(schema.tuf_metadata.c.role == "snapshot").values(version=ahead))

    floor.database.write(renumber)
    clock.now += 10
    studio.publish_version("digits", 1)
    timestamp = Metadata[Timestamp].from_bytes(client.get("/v1/tuf/metadata/timestamp.json").content).signed
    assert (timestamp.version, timestamp.snapshot_meta.version) == (int(clock.now * 1000), ahead + 1)
    assert client.get(f"/v1/tuf/metadata/{timestamp.snapshot_meta.version}.snapshot.json").status_code == 200


def test_a_key_that_the_root_does_not_name_signs_nothing(studio, floor, clock, caplog):
    studio.set_up("digits")
    before = stored(floor)
    clock.now += 40 * 86400
    assert floor.database.write(lambda connection: renew_online_roles(connection, generate_key(), clock())) == []
    assert "keys renew --online-key" in caplog.text
    assert stored(floor) == before


@pytest.mark.parametrize(
    "file", ["root.json", "99.root.json", "../keys/online.pem", "x.root.json", "1.root.json.bak", "99999999999999.root.json"]
)
def test_only_metadata_in_the_store_is_served(studio, client, file):
    studio.set_up("digits")
    assert client.get(f"/v1/tuf/metadata/{file}").status_code in {404, 422}
    assert Metadata[Root].from_bytes(client.get("/v1/tuf/metadata/1.root.json").content).signed.version == 1
