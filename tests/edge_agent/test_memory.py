"""Numbers that only rise."""

import time
from pathlib import Path

import pytest

from edge_agent.home import load_document
from edge_agent.memory import Memory, Patched, Remembered
from tests.simulators.disk import WRITING, Operation, SimulatedDisk


def test_what_is_remembered_never_falls_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    memory = Memory(path)
    memory.see_revision(5)
    memory.see_revision(3)
    assert memory.raise_min_version("digits", 4) == 4
    assert memory.raise_min_version("digits", 2) == 4
    memory.keep_acceptance("digits", ("a" * 64,), 0.9)
    session = memory.next_session()
    again = Memory(path)
    assert (again.revision_seen, again.raise_min_version("digits", 1), again.kept_digests) == (5, 4, {"a" * 64})
    assert (again.acceptance_of("digits"), again.minimum_score_of("digits"), again.minimum_score_of("letters")) == (("a" * 64,), 0.9, 0.0)
    again.keep_acceptance("digits", ("a" * 64,), 0.95)
    assert Memory(path).minimum_score_of("digits") == 0.95
    assert again.next_session() > session


def test_after_a_loss_sessions_still_rise_by_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    path.write_bytes(b"\x00" * 30)
    assert Memory(path).next_session() >= int(time.time()) - 1


def test_a_full_disk_keeps_nobody_from_starting_but_a_rule_must_be_written(tmp_path: Path) -> None:
    def full(operation: Operation) -> None:
        if operation.kind in WRITING:
            raise OSError(28, "No space left on device")

    disk = SimulatedDisk(tmp_path, full)
    memory = Memory(tmp_path / "memory.json", disk)
    assert memory.next_session() > 0
    memory.see_revision(7)
    with pytest.raises(OSError, match="No space"):
        memory.raise_min_version("digits", 3)
    disk.interfere = lambda _: None
    memory.keep_acceptance("digits", ("a" * 64,), 0.9)
    again = Memory(tmp_path / "memory.json")
    assert again.revision_seen == 7
    assert again.raise_min_version("digits", 1) == 3


def test_what_patches_did_adds_up_over_restarts(tmp_path: Path) -> None:
    Memory(tmp_path / "memory.json").count_patches(2, 1000, 1)
    Memory(tmp_path / "memory.json").count_patches(1, 500, 0)
    kept = load_document(tmp_path / "memory.json", Remembered)
    assert kept is not None
    assert kept.patched == Patched(3, 1500, 1)
