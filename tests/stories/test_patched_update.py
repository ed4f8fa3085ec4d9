"""A fine-tuned version reaches a device as a patch that the server made by itself, and the event says what was saved."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import onnx
import pytest

from contract.deltas import PatchList
from contract.manifest import FileEntry
from contract.package import list_files, read_manifest, write_manifest
from contract.signing import PrivateKey
from contract.states import UpdateState
from desktop_app.release.keys import KeyStore
from tests.simulators.packages import make_package
from tests.stories.fleet import Fleet
from tests.stories.programs import PASSPHRASE, Programs, wait_for

pytestmark = pytest.mark.story

MODEL = "colours"
VARIANT = "onnx-float32.onnx"
WEIGHTS = random.Random(1).randbytes(200_000)
QUICK = ("--policy", "probation_s=1", "--policy", "probation_min_inferences=0")


def tuned(weights: bytes) -> bytes:
    chance = random.Random(2)
    return bytes((value + chance.choice((0, 0, 0, 1, 255))) % 256 for value in weights)


def make_heavy_package(folder: Path, key: PrivateKey, version: int, weights: bytes) -> FileEntry:
    """A package whose model has as many int8 weights as given (which its answers do not depend on); returns the variant's entry."""
    make_package(folder, key=key, name=MODEL, version=version)
    model = onnx.load(str(folder / VARIANT))
    model.graph.initializer.append(onnx.TensorProto(name="ballast", data_type=onnx.TensorProto.INT8, dims=[len(weights)], raw_data=weights))
    (folder / VARIANT).write_bytes(model.SerializeToString())
    manifest = read_manifest((folder / "manifest.json").read_bytes())
    manifest = msgspec.structs.replace(manifest, files=list_files(folder, manifest.files))
    write_manifest(folder, manifest, key)
    return manifest.files[VARIANT]


@pytest.fixture(scope="module")
def fleet(programs: Programs) -> Iterator[Fleet]:
    programs.studio("keys", "init")
    fleet = Fleet(programs)
    fleet.start_server()
    yield fleet
    programs.end_all()


def roll_out(fleet: Fleet, version: int) -> None:
    created = fleet.cli("rollout", "create", MODEL, version, *QUICK)
    watch = ("rollout", "watch", created["rollout"], "--every", 0.2, "--timeout", 60, "--data", fleet.data)
    fleet.programs.succeed("eyelet-fleet", *watch)


def test_a_fine_tuned_version_comes_as_a_patch(programs: Programs, fleet: Fleet) -> None:
    key = KeyStore(programs.keys, PASSPHRASE).model_key(MODEL)
    first = make_heavy_package(programs.folder / "package-1", key, 1, WEIGHTS)
    programs.studio("publish", programs.folder / "package-1", *fleet.address)
    fleet.add_device("pi-01")
    wait_for("the device online", fleet.all_online)
    roll_out(fleet, 1)

    second = make_heavy_package(programs.folder / "package-2", key, 2, tuned(WEIGHTS))
    programs.studio("publish", programs.folder / "package-2", *fleet.address)

    def offered() -> PatchList | None:
        answer = fleet.request("GET", f"/v1/artifacts/{second.sha256}/patches")
        patches: PatchList = msgspec.json.decode(answer.content, type=PatchList)
        return patches if any(patch.base == first.sha256 for patch in patches.patches) else None

    [patch] = wait_for("a patch", offered, 120, lambda: programs.log("server")).patches
    assert patch.size_bytes < 0.4 * second.size_bytes
    roll_out(fleet, 2)
    [event] = [
        event.data["update"]
        for event in fleet.events()
        if event.kind == "update"
        and (event.data["update"]["state"], event.data["update"]["target"]["version"]) == (UpdateState.VERIFYING.value, 2)
    ]
    assert event["detail"].startswith("1 file came as a patch: ")
    assert "came as a patch of" in programs.log("pi-01")
    doctor = programs.run("eyelet-agent", "doctor", "--home", fleet.homes["pi-01"]).out
    assert "1 file came as a patch" in doctor
