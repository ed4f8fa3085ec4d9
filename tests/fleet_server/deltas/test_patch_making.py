"""Patches that a real server makes in a real child, offers, and makes again when they were deleted."""

import asyncio
import random
import shutil
from pathlib import Path

import msgspec
import pytest

from contract.blocks import BlockList
from contract.codec import encode
from contract.deltas import PatchKind, PatchList
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.patching import Job, apply_patch
from contract.trust import manifest_target, model_role
from fleet_server.deltas.derived import DerivedFiles
from fleet_server.deltas.loop import make_missing
from tests.simulators.studio import FILE_NAMES, make_manifest

SIZE = 60_000


def tuned(data: bytes) -> bytes:
    chance = random.Random(5)
    return bytes((value + chance.choice((0, 0, 1, 255))) % 256 for value in data)


FIRST = random.Random(1).randbytes(SIZE)
SECOND = tuned(FIRST)
PATCHES = f"/v1/artifacts/{sha256_of(SECOND)}/patches"


def publish(studio, version: int, model: bytes) -> FileEntry:
    files = {name: studio.upload(model if name == "model.onnx" else b"small") for name in FILE_NAMES}
    entry = studio.upload(encode(make_manifest("digits", version, files)))
    role = model_role("digits")
    studio.publish(**{role: studio.sign_role(role, {**studio.listed(role), manifest_target("digits", version): entry})}).raise_for_status()
    return entry


@pytest.fixture
def published(client, studio):
    studio.set_up("digits")
    publish(studio, 1, FIRST)
    publish(studio, 2, SECOND)
    return client


@pytest.fixture
def make(floor):
    return lambda: asyncio.run(make_missing(floor.database, floor.artifacts, DerivedFiles(floor.artifacts)))


def offered(client) -> PatchList:
    return msgspec.json.decode(client.get(PATCHES).raise_for_status().content, type=PatchList)


def test_a_patch_is_made_offered_and_leads_to_the_target(published, make, tmp_path: Path) -> None:
    assert offered(published).patches == ()
    assert make() == 3  # from the first to the second, and each whole
    [patch] = offered(published).patches
    assert patch.base == sha256_of(FIRST)
    assert patch.size_bytes < 0.3 * SIZE
    url = f"{PATCHES}/{patch.sha256}"
    head, rest = (published.get(url, headers={"range": f"bytes={part}"}) for part in ("0-99", "100-"))
    assert (head.status_code, rest.status_code) == (206, 206)
    (tmp_path / "patch").write_bytes(head.content + rest.content)
    (tmp_path / "base").write_bytes(FIRST)
    pieces: list[bytes] = []
    apply_patch(Job(PatchKind(patch.kind), tmp_path / "base", tmp_path / "patch", SIZE), pieces.append)
    assert b"".join(pieces) == SECOND


def test_what_was_tried_is_not_tried_again(published, make) -> None:
    make()
    assert make() == 0


def test_derived_files_can_be_deleted_and_are_made_again(published, make, floor) -> None:
    make()
    before = offered(published)
    shutil.rmtree(DerivedFiles(floor.artifacts).folder)
    assert offered(published).patches == ()
    assert make() == 3
    assert offered(published) == before


def test_patches_of_a_withdrawn_version_go(published, make, studio, floor) -> None:
    make()
    role = model_role("digits")
    left = {path: entry for path, entry in studio.listed(role).items() if path != manifest_target("digits", 2)}
    studio.publish(**{role: studio.sign_role(role, left)}).raise_for_status()
    make()
    assert offered(published).patches == ()
    assert not (DerivedFiles(floor.artifacts).folder / "patches" / sha256_of(SECOND)).exists()


def test_no_more_is_made_than_there_is_room_for(published, make, monkeypatch) -> None:
    monkeypatch.setattr("fleet_server.deltas.derived.PATCHES_MAX_BYTES", 0)
    assert make() == 0
    assert offered(published).patches == ()


def test_a_damaged_index_is_taken_as_none(published, make, floor) -> None:
    make()
    (DerivedFiles(floor.artifacts).folder / "patches" / sha256_of(SECOND) / "index.json").write_bytes(b"{")
    assert offered(published).patches == ()
    assert make() == 2


def test_blocks_are_listed(published) -> None:
    url = f"/v1/artifacts/{sha256_of(FIRST)}/blocks"
    for _ in range(2):
        blocks = msgspec.json.decode(published.get(url).raise_for_status().content, type=BlockList)
        assert blocks.sha256 == (sha256_of(FIRST),)
        assert blocks.fits(SIZE)


@pytest.mark.parametrize("part", ["blocks", "patches", "patches/" + "0" * 64, "patches/../../keys", "other"])
def test_what_is_not_there_is_not_found(client, part: str) -> None:
    assert client.get(f"/v1/artifacts/not-a-digest/{part}").status_code == 404
    if part != "patches":
        assert client.get(f"/v1/artifacts/{'1' * 64}/{part}").status_code == 404


def test_only_who_is_known_sees_patches(client) -> None:
    assert client.get(PATCHES, headers={"authorization": "Bearer wrong"}).status_code == 401
