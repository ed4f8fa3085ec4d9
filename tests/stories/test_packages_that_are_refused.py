"""Packages and repositories that nobody should run are refused, with the reason, by the device, the studio and the server."""

import base64
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from contract.manifest import Manifest
from contract.package import MANIFEST_NAME, MANIFEST_PAYLOAD_TYPE, SIGNATURE_NAME, write_archive
from contract.rest import ErrorBody
from contract.signing import PrivateKey, generate_key, sign_document
from contract.states import FailureReason, UpdateState
from contract.trust import model_role
from desktop_app.release.keys import KeyStore
from tests.simulators.fleet import FleetSimulator
from tests.simulators.packages import make_package
from tests.simulators.tuf_folder import in_days
from tests.stories.devices import endpoint_url
from tests.stories.fleet import Fleet
from tests.stories.programs import PASSPHRASE, Programs, assert_refused, wait_for

pytestmark = pytest.mark.story

MODEL = "colours"
VARIANT = "onnx-float32.onnx"


class Studio:
    """A key store with two good versions as folders and the first as an archive too."""

    def __init__(self, programs: Programs) -> None:
        programs.studio("keys", "init")
        self.key: PrivateKey = KeyStore(programs.keys, PASSPHRASE).model_key(MODEL)
        self.folders = {version: programs.folder / f"{MODEL}-{version}" for version in (1, 2)}
        for version, folder in self.folders.items():
            make_package(folder, key=self.key, name=MODEL, version=version)
        self.archive = write_archive(self.folders[1], programs.folder / f"{MODEL}-1.eyelet")
        programs.studio("keys", "export-public", "public", "--key", f"model-{MODEL}")
        self.public = programs.folder / "public" / f"model-{MODEL}.pub.json"
        self.home = programs.folder / "home"
        programs.succeed("eyelet-agent", "trust", "add", self.public)


@pytest.fixture(scope="module")
def studio(programs: Programs) -> Studio:
    return Studio(programs)


@pytest.fixture(scope="module")
def fleet(programs: Programs, studio: Studio) -> Iterator[Fleet]:
    """A server that knows version 1, then 2."""
    fleet = Fleet(programs)
    fleet.start_server()
    for folder in studio.folders.values():
        programs.studio("publish", folder, *fleet.address)
    yield fleet
    programs.end("server")


def copied(studio: Studio, tmp_path: Path) -> Path:
    return Path(shutil.copytree(studio.folders[1], tmp_path / f"{MODEL}-1"))


def truncated(studio: Studio, tmp_path: Path) -> Path:
    path = tmp_path / "cut.eyelet"
    path.write_bytes(studio.archive.read_bytes()[:-200])
    return path


def with_one_byte_flipped(studio: Studio, tmp_path: Path) -> Path:
    folder = copied(studio, tmp_path)
    body = bytearray((folder / VARIANT).read_bytes())
    body[len(body) // 2] ^= 1
    (folder / VARIANT).write_bytes(body)
    return folder


def with_one_byte_flipped_in_the_archive(studio: Studio, tmp_path: Path) -> Path:
    path, body = tmp_path / "flipped.eyelet", bytearray(studio.archive.read_bytes())
    body[body.index((studio.folders[1] / VARIANT).read_bytes()) + 100] ^= 1
    path.write_bytes(body)
    return path


def with_an_unlisted_file(studio: Studio, tmp_path: Path) -> Path:
    path = Path(shutil.copy(studio.archive, tmp_path / "more.eyelet"))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("run_me.py", "print('hello')")
    return path


def edited(folder: Path, **fields: object) -> bytes:
    manifest = {**json.loads((folder / MANIFEST_NAME).read_bytes()), **fields}
    data = json.dumps(manifest).encode()
    (folder / MANIFEST_NAME).write_bytes(data)
    return data


def with_a_changed_manifest(studio: Studio, tmp_path: Path) -> Path:
    folder = copied(studio, tmp_path)
    edited(folder, version=7)
    return folder


def signed_by_a_stranger(studio: Studio, tmp_path: Path) -> Path:
    return make_package(tmp_path / "strange", key=generate_key(), name=MODEL).folder


def of_a_newer_schema(studio: Studio, tmp_path: Path) -> Path:
    folder = copied(studio, tmp_path)
    data = edited(folder, schema_version=Manifest.SCHEMA_VERSION + 1, what_is_new=[1])
    (folder / SIGNATURE_NAME).write_bytes(sign_document(data, MANIFEST_PAYLOAD_TYPE, studio.key))
    return folder


REFUSED: Mapping[str, tuple[Callable[[Studio, Path], Path], tuple[str, ...]]] = {
    "truncated": (truncated, ("cut.eyelet",)),
    "one byte flipped": (with_one_byte_flipped, (VARIANT, "SHA-256")),
    "one byte flipped in the archive": (with_one_byte_flipped_in_the_archive, (VARIANT,)),
    "unlisted file": (with_an_unlisted_file, ("run_me.py",)),
    "manifest changed": (with_a_changed_manifest, ("the signature belongs to other content",)),
    "signed by another key": (signed_by_a_stranger, ("no trusted key vouches for", f"model-{MODEL}")),
    "newer schema": (of_a_newer_schema, (str(Manifest.SCHEMA_VERSION + 1), f"up to {Manifest.SCHEMA_VERSION}")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_device_refuses_to_predict_and_to_install(programs: Programs, studio: Studio, tmp_path: Path, case: str) -> None:
    make, words = REFUSED[case]
    package = make(studio, tmp_path)
    assert_refused(programs.run("eyelet-agent", "predict", package, "--golden"), *words)
    assert_refused(programs.run("eyelet-agent", "install", package), *words)
    assert not list((studio.home / "inbox").iterdir()), "nothing waits to be installed"
    assert not list((studio.home / "versions").iterdir()), "nothing was kept"


@pytest.mark.parametrize("case", REFUSED)
def test_the_studio_does_not_publish_it(programs: Programs, studio: Studio, fleet: Fleet, tmp_path: Path, case: str) -> None:
    make, words = REFUSED[case]
    package, before = make(studio, tmp_path), fleet.cli("models")
    assert_refused(programs.run("eyelet-studio", "publish", package, *fleet.address), *words)
    assert fleet.cli("models") == before


def test_the_good_package_is_taken_all_the_same(programs: Programs, studio: Studio) -> None:
    verdict = programs.succeed("eyelet-agent", "predict", studio.archive, "--golden", "--json").json_lines[-1]
    assert verdict["passed"] is True


def test_only_public_keys_can_be_trusted(programs: Programs, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "none.pub.json").write_text("{}")
    assert_refused(programs.run("eyelet-agent", "trust", "add", tmp_path / "none.pub.json"), "no public key")
    private = next(programs.keys.rglob("*.pem"))
    assert_refused(programs.run("eyelet-agent", "trust", "add", private), "no public key")
    other = json.loads(studio.public.read_text()) | {"keyval": {"public": "00" * 32}}
    (tmp_path / "other.pub.json").write_text(json.dumps(other))
    assert_refused(programs.run("eyelet-agent", "trust", "add", tmp_path / "other.pub.json"), "does not belong to it")
    assert_refused(programs.run("eyelet-agent", "trust", "remove", "nobody"), "nobody", f"model-{MODEL}")
    trusted = programs.succeed("eyelet-agent", "trust", "list", "--json").json
    assert [entry["name"] for entry in trusted] == [f"model-{MODEL}"]


def publish_role(fleet: Fleet, role: str, body: bytes) -> ErrorBody:
    """Send a role file as the studio would; returns the server's refusal."""
    answer = fleet.request("POST", "/v1/trust/publications", json={"roles": {role: base64.b64encode(body).decode()}})
    assert 400 <= answer.status_code < 500, answer.text
    return ErrorBody(**answer.json())


def role_file(fleet: Fleet, name: str) -> bytes:
    answer = fleet.request("GET", f"/v1/tuf/metadata/{name}")
    assert answer.status_code == 200, answer.text
    return answer.content


def newest_version(fleet: Fleet, role: str) -> int:
    """The version of a role's file that the server's snapshot names."""
    timestamp = json.loads(role_file(fleet, "timestamp.json"))["signed"]
    snapshot = json.loads(role_file(fleet, f"{timestamp['meta']['snapshot.json']['version']}.snapshot.json"))["signed"]
    return int(snapshot["meta"][f"{role}.json"]["version"])


def test_the_server_refuses_a_role_of_a_wrong_key_and_one_of_yesterday(fleet: Fleet) -> None:
    from tuf.api.metadata import Metadata, Targets

    role, before = model_role(MODEL), fleet.cli("models")
    newest = newest_version(fleet, role)
    forged = Metadata[Targets].from_bytes(role_file(fleet, f"{newest}.{role}.json"))
    forged.signed.version += 1
    forged.signed.targets = {}
    forged.sign(generate_key().signer)
    refusal = publish_role(fleet, role, forged.to_bytes())
    assert role in refusal.error
    assert "0/1" in refusal.error, refusal
    refusal = publish_role(fleet, role, role_file(fleet, f"{newest - 1}.{role}.json"))
    assert role in refusal.error
    assert f"version {newest - 1}" in refusal.error, refusal
    assert newest_version(fleet, role) == newest
    assert fleet.cli("models") == before
    assert {version["version"] for model in before for version in model["versions"]} == {1, 2}


def test_the_least_version_only_rises(programs: Programs, studio: Studio, fleet: Fleet) -> None:
    programs.studio("publish", studio.folders[2], "--min-version", 2, *fleet.address)
    assert_refused(programs.run("eyelet-studio", "publish", studio.folders[2], "--min-version", 1, *fleet.address), "2")
    (model,) = fleet.cli("models")
    assert model["min_version"] == 2


@pytest.fixture
def simulated(tmp_path: Path) -> Iterator[FleetSimulator]:
    with FleetSimulator(tmp_path / "fleet") as simulated:
        yield simulated


def test_a_device_refuses_a_stale_repository_and_says_so(
    programs: Programs, studio: Studio, simulated: FleetSimulator, tmp_path: Path
) -> None:
    home, device = tmp_path / "pi-01", "pi-01"
    programs.succeed("eyelet-agent", "enroll", simulated.make_claim(device), "--home", home)
    from contract.package import open_package

    simulated.publish(open_package(studio.folders[1], None))
    programs.start(device, "eyelet-agent", "run", "--home", home, "--http-port", 0)
    wait_for("the endpoint", lambda: endpoint_url(home), explain=lambda: programs.log(device))
    simulated.tuf.release(expires=in_days(-1))
    final = simulated.wait_for_final(simulated.wish(device, MODEL, 1), 30)
    assert (final.state, final.reason) == (UpdateState.FAILED, FailureReason.NOT_TRUSTED)
    assert "timestamp.json is expired" in final.detail

    def reported() -> str:
        known = simulated.reported.get(device)
        update = known.slots["main"].update if known and "main" in known.slots else None
        return update.detail if update else ""

    wait_for("the reason in the report", lambda: "timestamp.json is expired" in reported(), explain=reported)
    findings = programs.run("eyelet-agent", "doctor", "--home", home, "--json").json
    assert any("timestamp.json is expired" in finding["text"] for finding in findings), findings
    assert programs.end(device) == 0
