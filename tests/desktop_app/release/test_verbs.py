"""The verbs keys, publish, application, claim and withdraw, as a user types them, against a real server."""

import asyncio
import json

import pytest

from contract.claims import parse_token
from contract.files import write_atomic
from contract.package import write_archive
from desktop_app.cli import run
from desktop_app.data.project import create_project
from desktop_app.release.keys import KeyStore
from desktop_app.release.server_client import ServerClient
from edge_agent.update.tuf_child import refresh
from edge_agent.update.tuf_messages import TufRequest
from tests.desktop_app.release.live_server import running_server
from tests.desktop_app.release.test_publishing import APPLICATION
from tests.simulators.devices import enrol
from tests.simulators.packages import make_acceptance, make_package

PASSPHRASE = "three plain words"


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.setenv("EYELET_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("EYELET_KEYS", str(tmp_path / "keys"))
    assert run(["keys", "init"]) == 0
    return tmp_path / "keys"


def test_the_loop_from_keys_to_a_claim(keys, tmp_path, capsys):
    project = create_project(tmp_path / "project", "colours", "image-classification")
    package = make_package(tmp_path / "package", key=KeyStore(keys, PASSPHRASE).model_key("colours"), name="colours")
    archive = write_archive(package.folder, tmp_path / "colours-1.eyelet")
    make_acceptance(project.folder / "acceptance" / "colours", model="colours", minimum=0.9)
    application = tmp_path / "counting.json"
    write_atomic(application, json.dumps(APPLICATION).encode())
    project.close()
    with running_server(tmp_path / "data") as server:
        to = ["--server", server.url, "--token-file", str(server.token_file)]
        capsys.readouterr()
        assert run(["publish", str(archive), "--project", str(project.folder), "--json", *to]) == 0
        published = json.loads(capsys.readouterr().out)
        assert (published["new"], published["acceptance_minimum"]) == (True, 0.9)
        assert run(["publish", str(package.folder), "--project", str(tmp_path), "--min-version", "1", *to]) == 0  # no project there
        assert "published already" in capsys.readouterr().out
        assert run(["application", "publish", str(application), *to]) == 0
        assert "counting version 1 is published" in capsys.readouterr().out
        assert run(["claim", "--device", "pi-01", *to]) == 0
        token = capsys.readouterr().out
        claim = parse_token(token)
        device = make_device(token, server, tmp_path / "device")
        assert refresh(device).targets["models/colours/1.json"].sha256 == published["digest"]
        assert (claim.device, claim.root_sha256) == ("pi-01", published["root_sha256"])
        assert run(["withdraw", "colours", "1", *to]) == 0
        capsys.readouterr()
        assert run(["withdraw", "colours", "1", *to]) == 1
        assert "not published" in capsys.readouterr().err
        assert run(["keys", "renew", *to]) == 0
        assert "root 2 is published; it ends on 20" in capsys.readouterr().out
        assert run(["keys", "renew", "--json"]) == 0
        assert [renewal["root_version"] for renewal in json.loads(capsys.readouterr().out)] == [3]
        assert run(["keys", "renew", "--online-key"]) == 2
        assert run(["publish", str(package.folder), "--project", str(tmp_path), *to]) == 0
        with ServerClient(server.url, server.token) as client:
            assert client.fetch_metadata("3.root.json") is not None
        assert refresh(device).targets["models/colours/1.json"].sha256 == published["digest"]  # an agent follows two new roots
        assert (tmp_path / "device" / "root_history" / "3.root.json").is_file()
        capsys.readouterr()
    assert "No signature" not in (tmp_path / "data.log").read_text()


def make_device(token, server, folder):
    """An enrolled agent's own question to the repository."""
    credentials = asyncio.run(enrol(token))
    folder.mkdir()
    (folder / "password").write_text(credentials.password)
    with ServerClient(server.url, server.token) as client:
        (folder / "first-root.json").write_bytes(client.first_root())
    return TufRequest(
        server_url=server.url,
        device=credentials.device,
        password_file=str(folder / "password"),
        ca_file="",
        root_file=str(folder / "first-root.json"),
        metadata_folder=str(folder),
        objects_folder=str(folder),
        targets=("models/colours/1.json",),
    )


def test_keys_are_listed_backed_up_restored_and_exported(keys, tmp_path, capsys):
    capsys.readouterr()
    assert run(["keys", "list", "--json"]) == 0
    assert {key["name"] for key in json.loads(capsys.readouterr().out)} == {"root-studio", "root-recovery", "root-second", "targets"}
    assert run(["keys", "backup", str(tmp_path / "keys.backup")]) == 0
    assert run(["keys", "restore", str(tmp_path / "keys.backup"), "--keys", str(tmp_path / "restored")]) == 0
    assert run(["keys", "restore", str(tmp_path / "keys.backup")]) == 1
    assert "not empty" in capsys.readouterr().err
    assert run(["keys", "export-public", str(tmp_path / "public"), "--key", "targets"]) == 0
    assert [path.name for path in (tmp_path / "public").iterdir()] == ["targets.pub.json"]
    assert run(["keys", "init"]) == 1


def test_wrong_usage_and_wrong_passphrases_are_said_in_a_sentence(keys, tmp_path, capsys, monkeypatch):
    package = make_package(tmp_path / "package", key=KeyStore(keys, PASSPHRASE).model_key("colours"), name="colours")
    assert run(["publish", str(package.folder)]) == 2
    assert "--server" in capsys.readouterr().err
    assert run(["publish", str(package.folder), "--folder", str(tmp_path / "out"), "--project", str(tmp_path)]) == 0
    monkeypatch.setenv("EYELET_PASSPHRASE", "wrong")
    capsys.readouterr()
    assert run(["publish", str(package.folder), "--folder", str(tmp_path / "out"), "--project", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "passphrase" in error
    assert "Traceback" not in error
