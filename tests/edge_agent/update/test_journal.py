"""The journal on the disk: every line is whole or noticed."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.states import FailureReason, UpdateState
from edge_agent.update.journal import Journal, seal, unseal
from edge_agent.update.records import Baseline, Update
from tests.edge_agent.update.examples import wish
from tests.simulators.disk import Operation, SimulatedDisk

FIRST = Update(UpdateState.DONE, wish(1, 1), variant="onnx-float32")
SECOND = Update(UpdateState.PROBATION, wish(2, 2), attempt=2, baseline=Baseline(40, 120.0), reason=None, detail="… ok")
THIRD = Update(UpdateState.FAILED, wish(3, 3), reason=FailureReason.DOWNLOAD, detail="line\nfeed")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal(tmp_path / "journal.jsonl")
    for update in (FIRST, SECOND):
        journal.append("main", "intent", update)
    journal.append("side", "result", THIRD)
    return journal


def test_the_last_record_of_each_slot_counts(journal: Journal) -> None:
    state = journal.read()
    assert state.updates == {"main": SECOND, "side": THIRD}
    assert state.damage == ""


def test_each_line_is_json_that_people_and_tools_read(journal: Journal) -> None:
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [(line["slot"], line["state"], line["revision"], line["attempt"]) for line in lines] == [
        ("main", "done", 1, 1),
        ("main", "probation", 2, 2),
        ("side", "failed", 3, 1),
    ]
    assert all(line["at"].endswith("Z") for line in lines)


def test_an_absent_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none.jsonl").read() == ({}, "")


def test_a_line_that_was_being_written_is_dropped_whatever_its_length(journal: Journal) -> None:
    whole = journal.path.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for length in range(last, len(whole), 7):
        journal.path.write_bytes(whole[:length])
        assert journal.read() == ({"main": SECOND}, ""), length
        assert journal.path.read_bytes() == whole[:last]
    journal.append("side", "result", THIRD)
    assert journal.read().updates["side"] == THIRD


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(journal: Journal, place: float, bit: int) -> None:
    whole = journal.path.read_bytes()
    data = bytearray(whole)
    index = int(place * (len(data) - 2))
    data[index] ^= 1 << bit
    journal.path.write_bytes(data)
    state = journal.read()
    assert state.damage or len(journal.path.read_bytes()) < len(whole)
    journal.path.write_bytes(whole)


@given(data=st.binary(max_size=300))
def test_any_bytes_give_an_answer(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.write_bytes(data)
    state = Journal(path).read()
    assert state.updates == {}
    assert bool(state.damage) == (b"\n" in data)


def test_seal_and_unseal_are_each_others_reverse() -> None:
    body = b'{"a":1}'
    assert unseal(seal(body)[:-1]) == body
    assert unseal(seal(body)[:-2]) is None


def test_a_long_journal_is_compacted_to_the_last_records(journal: Journal) -> None:
    for _ in range(5):
        journal.append("main", "intent", SECOND)
    journal.compact([("main", SECOND), ("side", THIRD)])
    assert len(journal.path.read_text().splitlines()) == 8
    journal.compact([("main", SECOND), ("side", THIRD)], above_bytes=2000)
    assert len(journal.path.read_text().splitlines()) == 2
    assert journal.read().updates == {"main": SECOND, "side": THIRD}


def test_a_damaged_journal_is_kept_aside(journal: Journal) -> None:
    kept = journal.set_aside()
    assert kept.exists()
    assert journal.read() == ({}, "")


def test_a_full_disk_leaves_no_half_line(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    before = journal.path.read_bytes()
    with pytest.raises(OSError, match="No space"):
        journal.append("main", "intent", FIRST)
    assert journal.path.read_bytes() == before


def test_a_line_that_could_not_be_taken_back_is_removed_before_the_next(tmp_path: Path) -> None:
    failing: set[str] = set()

    def interfere(operation: Operation) -> None:
        if operation.kind in failing:
            raise OSError(5, "Input/output error")

    journal = Journal(tmp_path / "journal.jsonl", SimulatedDisk(tmp_path, interfere))
    journal.append("main", "intent", FIRST)
    failing |= {"sync", "truncate"}
    with pytest.raises(OSError, match="Input"):
        journal.append("main", "intent", SECOND)
    failing.clear()
    journal.append("main", "intent", THIRD)
    assert journal.read() == ({"main": THIRD}, "")
    assert len(journal.path.read_text().splitlines()) == 2


def test_a_torn_line_that_can_not_be_removed_keeps_nobody_from_starting(journal: Journal) -> None:
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole + b'{"torn')

    def interfere(operation: Operation) -> None:
        if operation.kind == "truncate":
            raise OSError(30, "Read-only file system")

    disk = SimulatedDisk(journal.path.parent, interfere)
    again = Journal(journal.path, disk)
    assert again.read().updates["side"] == THIRD
    disk.interfere = lambda _: None
    again.append("side", "result", FIRST)
    assert again.read() == ({"main": SECOND, "side": FIRST}, "")
