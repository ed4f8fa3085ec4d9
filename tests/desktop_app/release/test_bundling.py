"""Bundles from a server, from a folder, and from the studio alone; what a device would refuse is not made."""

import json

import pytest

from contract.bundle import opened_bundle, read_index
from contract.files import sha256_of, write_atomic
from desktop_app.cli import run
from desktop_app.data.project import create_project
from desktop_app.errors import ReleaseError
from desktop_app.release.bundling import FolderSource, ServerSource, bundle_version
from desktop_app.release.keys import KeyStore, init_keys
from desktop_app.release.local_repository import LocalRepository
from desktop_app.release.outlets import FolderOutlet, ServerOutlet
from desktop_app.release.publishing import publish_application, publish_version, read_acceptance
from tests.desktop_app.release.live_server import server_in_process
from tests.desktop_app.release.test_publishing import APPLICATION
from tests.simulators.packages import make_acceptance, make_package

PASSPHRASE = "three plain words"


@pytest.fixture
def store(tmp_path):
    init_keys(tmp_path / "keys", PASSPHRASE)
    return KeyStore(tmp_path / "keys", PASSPHRASE)


@pytest.fixture
def package(store, tmp_path):
    return make_package(tmp_path / "package", key=store.model_key("colours"), name="colours")


@pytest.fixture
def local(store, tmp_path):
    return FolderOutlet(LocalRepository(store, tmp_path / "folder"))


def test_a_bundle_from_a_server_holds_all_that_a_device_needs(store, package, tmp_path):
    make_acceptance(tmp_path / "acceptance", model="colours", minimum=0.9)
    acceptance = read_acceptance(tmp_path / "acceptance")
    application = json.dumps(APPLICATION).encode()
    (tmp_path / "server").mkdir()
    with server_in_process(tmp_path / "server") as client:
        outlet = ServerOutlet(client, store)
        publish_version(outlet, package, acceptance, min_version=1)
        publish_application(outlet, application)
        result = bundle_version(ServerSource(client), package, tmp_path / "b", application)
    assert (result.name, result.version, result.application) == ("colours", 1, "counting")
    with opened_bundle(tmp_path / "b") as bundle:
        assert bundle.index.application.document.sha256 == sha256_of(application)
        assert sha256_of(b"".join(bundle.metadata("1.root.json"))) == result.root_sha256
        manifest = package.manifest
        wanted = [manifest.files[manifest.golden], manifest.files[manifest.reference], manifest.files["onnx-float32.onnx"]]
        wanted += [bundle.index.manifest, acceptance.view.samples]
        assert all(bundle.artifact_size(entry.sha256) == entry.size_bytes for entry in wanted)
        assert bundle.artifact_size(manifest.files[manifest.model_card].sha256) is None


def test_what_is_not_published_is_not_bundled(package, local, tmp_path, store):
    with pytest.raises(ReleaseError, match="nothing was published there yet"):
        bundle_version(FolderSource(tmp_path / "nowhere"), package, tmp_path / "b")
    publish_version(local, package)
    other = make_package(tmp_path / "other", key=store.model_key("colours"), name="colours", version=2)
    with pytest.raises(ReleaseError, match="version 2 is not published there"):
        bundle_version(FolderSource(tmp_path / "folder"), other, tmp_path / "b")
    changed = make_package(tmp_path / "changed", key=store.model_key("colours"), name="colours", kind="bad")
    with pytest.raises(ReleaseError, match="with other content"):
        bundle_version(FolderSource(tmp_path / "folder"), changed, tmp_path / "b")
    with pytest.raises(ReleaseError, match="application counting is not published"):
        bundle_version(FolderSource(tmp_path / "folder"), package, tmp_path / "b", json.dumps(APPLICATION).encode())
    assert not (tmp_path / "b").exists()


def test_an_application_for_another_model_is_not_bundled(package, local, tmp_path):
    publish_version(local, package)
    application = json.dumps({**APPLICATION, "model": "faces"}).encode()
    with pytest.raises(ReleaseError, match="made for the model faces"):
        bundle_version(FolderSource(tmp_path / "folder"), package, tmp_path / "b", application)


def test_metadata_that_a_device_would_refuse_are_not_bundled(package, local, tmp_path):
    publish_version(local, package)
    for path in (tmp_path / "folder" / "metadata").glob("*.snapshot.json"):
        path.write_bytes(path.read_bytes().replace(b'"version"', b'"verslon"', 1))
    with pytest.raises(ReleaseError, match="can not be bundled"):
        bundle_version(FolderSource(tmp_path / "folder"), package, tmp_path / "b")


def test_the_verb_alone_signs_the_online_roles(tmp_path, monkeypatch, capsys, package):
    monkeypatch.setenv("EYELET_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("EYELET_KEYS", str(tmp_path / "keys"))
    create_project(tmp_path / "project", "colours", "image-classification").close()
    application = tmp_path / "counting.json"
    write_atomic(application, json.dumps(APPLICATION).encode())
    arguments = ["bundle", str(package.folder), "--project", str(tmp_path / "project"), "--out", str(tmp_path / "c.eyelet-bundle")]
    assert run([*arguments, "--application", str(application)]) == 0
    said = capsys.readouterr().out
    assert "colours version 1 with the application counting is bundled" in said
    assert "--sha256" in said
    assert read_index(tmp_path / "c.eyelet-bundle").model == "colours"
    assert run(["publish", str(package.folder), "--project", str(tmp_path / "project"), "--folder", str(tmp_path / "public")]) == 0
    assert run([*arguments, "--folder", str(tmp_path / "public"), "--json"]) == 0
    assert run([*arguments, "--folder", str(tmp_path / "public"), "--server", "http://127.0.0.1:1"]) == 2
