"""The outbox: nothing is forgotten before the server has it, nothing has a gap, nothing grows without bound."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.codec import utc_now
from contract.commands import CommandResult
from contract.messages import Event, VersionRef, Window
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.topics import Channel
from edge_agent.outbox import Outbox


def event(text: str = "hello", kind: str = "agent") -> Event:
    return Event(1, "", 1, "boot", utc_now(), kind, text=text)


def window(index: int = 0) -> Window:
    latency, confidence = Histogram.empty(LATENCY_BOUNDS_US), Histogram.empty(CONFIDENCE_BOUNDS)
    return Window(1, "", 1, "boot", index, "main", VersionRef("digits", 1, "a" * 64), "onnx", utc_now(), 1.0, 0, latency, confidence, {})


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.sqlite")


def texts(outbox: Outbox) -> list[str]:
    return [msgspec.json.decode(waiting.body, type=Event).text for waiting in outbox.waiting()]


def test_messages_carry_the_stream_and_rising_sequences(outbox: Outbox) -> None:
    for text in "abc":
        outbox.put(event(text))
    sent = [msgspec.json.decode(waiting.body, type=Event) for waiting in outbox.waiting()]
    assert [(message.stream, message.sequence, message.text) for message in sent] == [
        (outbox.stream, 1, "a"),
        (outbox.stream, 2, "b"),
        (outbox.stream, 3, "c"),
    ]


def test_the_result_of_a_command_is_written_at_once_numbered_among_the_others_and_kept_until_it_is_acknowledged(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", hold_s=3600)
    outbox.put(event("a"))
    outbox.put(CommandResult(1, "c1", ok=True, text="done", data={"n": 1}))
    again = Outbox(tmp_path / "outbox.sqlite")  # as after a kill
    channels = [waiting.channel for waiting in again.waiting()]
    assert channels == [Channel.EVENT, Channel.COMMAND_RESULT]
    result = msgspec.json.decode(again.waiting()[1].body, type=CommandResult)
    assert result == CommandResult(1, "c1", ok=True, text="done", data={"n": 1}, stream=outbox.stream, sequence=2)
    assert again.acknowledge(again.stream, 2) == 2
    assert again.waiting() == []
    outbox.close()
    again.close()


def test_only_an_acknowledgement_removes_and_what_is_above_it_comes_again(outbox: Outbox) -> None:
    for text in "abcd":
        outbox.put(event(text))
    assert texts(outbox) == texts(outbox) == list("abcd")
    assert outbox.acknowledge(outbox.stream, 2) == 2
    assert texts(outbox) == ["c", "d"]
    assert outbox.first_sequence == 3
    outbox.acknowledge(outbox.stream, 4)
    assert (outbox.depth, outbox.first_sequence) == (0, 5)


def test_an_acknowledgement_of_another_stream_is_ignored(outbox: Outbox) -> None:
    outbox.put(event())
    outbox.waiting()
    assert outbox.acknowledge("another", 100) == 0
    assert outbox.depth == 1


def test_it_survives_being_closed(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put(event("kept"))
    outbox.waiting()
    outbox.put(event("new"))
    stream = outbox.stream
    outbox.close()
    again = Outbox(tmp_path / "outbox.sqlite")
    assert (again.stream, texts(again)) == (stream, ["kept", "new"])


def test_it_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    code = (
        "import sys, os, signal; from pathlib import Path; from edge_agent.outbox import Outbox; from contract.messages import Event\n"
        f"outbox = Outbox(Path({str(path)!r}))\n"
        "for n in range(20): outbox.put(Event(1, '', 1, 'b', 'now', 'agent', text=str(n)))\n"
        "outbox.waiting(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=os.getcwd()).returncode == -signal.SIGKILL  # noqa: PTH109
    assert texts(Outbox(path)) == [str(number) for number in range(20)]


def test_events_go_before_windows_and_at_most_so_many_are_under_way(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", in_flight=3, hold_s=0)
    outbox.put(window(0))
    for text in "abc":
        outbox.put(event(text))
    assert [waiting.channel for waiting in outbox.waiting()] == [Channel.EVENT] * 3
    outbox.acknowledge(outbox.stream, 3)
    assert [(waiting.sequence, waiting.channel) for waiting in outbox.waiting()] == [(4, Channel.WINDOW)]


def test_a_full_outbox_drops_the_oldest_windows_then_events_counts_them_and_leaves_no_gap(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", max_bytes=20_000)
    for index in range(30):
        outbox.put(window(index))
        outbox.put(event(f"{index:03d}" + "x" * 100))
    assert outbox.dropped > 0
    sent = outbox.waiting()
    assert [waiting.sequence for waiting in sent] == list(range(1, len(sent) + 1))
    assert sum(waiting.channel is Channel.EVENT for waiting in sent) == 30
    assert sum(len(waiting.body) for waiting in sent) <= 21_000


def test_what_was_sent_is_never_dropped(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", max_bytes=5_000)
    outbox.put(event("first"))
    outbox.waiting()
    for index in range(50):
        outbox.put(event(f"{index}" + "x" * 200))
    assert texts(outbox)[0] == "first"


def test_a_damaged_file_is_set_aside_and_a_new_stream_begins(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put(event())
    outbox.close()
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"this is no database" * 100)
    again = Outbox(path)
    assert again.stream != outbox.stream
    assert again.depth == 0
    assert (tmp_path / "outbox.sqlite.damaged").exists()


def test_updates_go_before_windows_before_rules_and_are_dropped_in_the_other_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", max_bytes=20_000, hold_s=0)
    for index in range(40):
        for kind in ("rule", "agent", "update"):
            outbox.put(event(f"{kind} {index}" + "x" * 100, kind))
        outbox.put(window(index))
    outbox.flush()
    assert set(outbox.drops) == {"rule", "window"}
    assert outbox.drops["rule"] == 40
    assert outbox.dropped == sum(outbox.drops.values())
    sent = [msgspec.json.decode(waiting.body) for waiting in outbox.waiting()]
    assert [message.get("kind", "window") for message in sent] == ["update"] * 40 + ["agent"] * 40 + ["window"] * (len(sent) - 80)
    outbox.close()
    assert Outbox(tmp_path / "outbox.sqlite").drops["rule"] == 40


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_ten_minutes_of_windows_and_rules_costs_few_writes(tmp_path: Path) -> None:
    clock = Clock()
    outbox = Outbox(tmp_path / "outbox.sqlite", clock=clock)
    stored: set[int] = set()
    for second in range(600):
        clock.now = float(second)
        outbox.put(event(str(second), "rule"))
        if second % 60 == 0:
            outbox.put(window(second))
        outbox.flush_if_due()
        stored |= {waiting.sequence for waiting in outbox.waiting()}
        outbox.acknowledge(outbox.stream, max(stored, default=0))
    clock.now += 10
    stored |= {waiting.sequence for waiting in outbox.waiting()}
    assert stored == set(range(1, 611)), "all of them came, without a gap"
    assert outbox.transactions <= 310, "one for two or three messages, where it was three for each"


def test_what_is_urgent_is_written_at_once_and_takes_along_what_waits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite", clock=Clock())
    outbox.put(window(0))
    assert (outbox.transactions, outbox.depth) == (0, 1)
    assert outbox.waiting() == []
    outbox.put(event("urgent", "update"))
    assert outbox.transactions == 1
    assert [waiting.channel for waiting in outbox.waiting()] == [Channel.EVENT, Channel.WINDOW]


def test_a_full_disk_keeps_in_memory_what_fits_and_writes_it_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    db = outbox._file._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    for index in range(400):
        outbox.put(event(f"{index}" + "x" * 1000, "rule" if index % 2 else "update"))
    assert sum(len(held.body) for held in outbox._held) <= 256 << 10
    assert set(outbox.drops) == {"rule"}
    assert len([record for record in caplog.records if "can not be written" in record.message]) == 1
    kept = outbox.depth
    db.execute("PRAGMA max_page_count = 100000")
    outbox.flush()
    assert (outbox.depth, outbox._held) == (kept, [])
    assert sum(outbox.drops.values()) + kept == 400


def test_a_file_that_is_damaged_while_it_is_open_is_set_aside_and_what_is_known_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    outbox = Outbox(path)
    for text in "abc":
        outbox.put(event(text))
    assert texts(outbox) == ["a", "b", "c"]
    before = outbox.stream
    outbox._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)
    outbox._file._db.execute("PRAGMA cache_size = 0")
    outbox._file._db.execute("PRAGMA shrink_memory")
    outbox.put(event("d"))
    assert outbox.stream != before
    assert texts(outbox) == ["a", "b", "c", "d"]
    assert (tmp_path / "outbox.sqlite.damaged").exists()


def test_a_file_of_an_earlier_version_is_read_on(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox._file._db.execute("DROP TABLE drop_count")
    outbox._file._db.execute("UPDATE stream SET dropped = 7")
    outbox.close()
    again = Outbox(tmp_path / "outbox.sqlite")
    assert (again.dropped, again.drops) == (7, {"unknown": 7})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(["put", "window", "send", "ack", "lost", "reopen"]), max_size=40))
def test_whatever_happens_each_message_reaches_the_server_once_in_order(steps: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("outbox") / "outbox.sqlite"
    outbox, stored, put = Outbox(path, in_flight=4, hold_s=0), {}, 0
    for step in [*steps, *["send", "ack"] * 15]:
        if step in {"put", "window"}:
            outbox.put(event(str(put)) if step == "put" else window(put))
            put += 1
        elif step == "send":
            stored |= {waiting.sequence: waiting.body for waiting in outbox.waiting()}
        elif step == "ack":
            outbox.acknowledge(outbox.stream, max(stored, default=0))
        elif step == "reopen":
            outbox.close()
            outbox = Outbox(path, in_flight=4, hold_s=0)
    assert sorted(stored) == list(range(1, put + 1))
    assert outbox.depth == 0
    outbox.close()


def test_a_file_that_can_not_be_opened_means_memory_and_it_moves_to_the_disk_once_that_is_better(tmp_path: Path) -> None:
    path, now = tmp_path / "outbox.sqlite", [0.0]
    path.mkdir()  # no file of this name can be had
    outbox = Outbox(path, clock=lambda: now[0])
    assert "unable to open" in outbox.trouble
    outbox.put(event("sent in memory"))
    assert texts(outbox) == ["sent in memory"]
    in_memory = outbox.stream
    path.rmdir()
    outbox.put(event("not sent yet"))
    now[0] = 61.0
    assert texts(outbox) == ["sent in memory", "not sent yet"]
    assert (outbox.trouble, outbox.stream == in_memory) == ("", False)
    assert outbox.acknowledge(in_memory, 1) == 0, "a late acknowledgement of the stream in memory forgets nothing"
    outbox.close()
    assert texts(Outbox(path)) == ["sent in memory", "not sent yet"]


def test_what_the_file_held_when_it_could_not_be_opened_comes_first_when_it_can(tmp_path: Path) -> None:
    path, now = tmp_path / "outbox.sqlite", [0.0]
    before = Outbox(path)
    before.put(event("before"))
    before.close()
    path.rename(tmp_path / "kept")
    path.mkdir()
    outbox = Outbox(path, clock=lambda: now[0])
    outbox.put(event("meanwhile"))
    path.rmdir()
    (tmp_path / "kept").rename(path)
    now[0] = 61.0
    assert texts(outbox) == ["before", "meanwhile"]


def test_an_outbox_in_memory_does_not_grow_without_bound(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").mkdir()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    for _ in range(800):
        outbox.put(event("x" * 1900))
    outbox.flush()
    assert outbox.depth * 1900 < 2 << 20
    assert outbox.dropped > 0


def damage(path: Path, statement: str, *values: object) -> None:
    """Write what no agent writes."""
    db = sqlite3.connect(path)
    with db:
        db.execute(statement, values)
    db.close()


def test_a_waiting_message_that_the_disk_changed_is_dropped_and_the_others_are_sent(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.sqlite")
    for text in ("one", "two", "three"):
        first.put(event(text))
    first.close()
    damage(tmp_path / "outbox.sqlite", "UPDATE message SET body = ? WHERE id = 2", b'{"broken')
    outbox = Outbox(tmp_path / "outbox.sqlite")
    assert texts(outbox) == ["one", "three"]
    assert (outbox.stream, outbox.dropped) == (first.stream, 1)


def test_a_sent_message_that_the_disk_changed_begins_another_stream_since_its_gap_could_not_be_acknowledged(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.sqlite")
    for text in ("one", "two", "three"):
        first.put(event(text))
    first.waiting()
    first.close()
    damage(tmp_path / "outbox.sqlite", "UPDATE message SET channel = 'evenu' WHERE sequence = 2")
    outbox = Outbox(tmp_path / "outbox.sqlite")
    assert texts(outbox) == ["one", "three"]
    assert [waiting.sequence for waiting in outbox.waiting()] == [1, 2]
    assert outbox.stream != first.stream


@pytest.mark.parametrize(
    "statement",
    ["UPDATE stream SET next_sequence = 'many'", "UPDATE stream SET next_sequence = -5", "UPDATE stream SET id = 7.5", "DROP TABLE stream"],
)
def test_a_file_with_something_else_in_its_tables_is_set_aside(tmp_path: Path, statement: str) -> None:
    Outbox(tmp_path / "outbox.sqlite").close()
    damage(tmp_path / "outbox.sqlite", statement)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.put(event("hello"))
    assert texts(outbox) == ["hello"]
    assert outbox.trouble == ""


def test_a_schema_that_is_no_text_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    Outbox(path).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE message", b"CREATE TABLE m\xff\xfe\xffage"))
    outbox = Outbox(path)
    outbox.put(event("hello"))
    assert (texts(outbox), outbox.trouble) == (["hello"], "")


def test_a_file_of_another_schema_is_set_aside_not_waited_for(tmp_path: Path) -> None:
    damage(tmp_path / "outbox.sqlite", "CREATE TABLE message (other TEXT)")
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.put(event("hello"))
    assert (texts(outbox), outbox.trouble) == (["hello"], "")
    assert (tmp_path / "outbox.sqlite.damaged").exists()


def test_an_acknowledgement_of_more_than_was_sent_forgets_no_more_than_that(outbox: Outbox) -> None:
    outbox.put(event("one"))
    outbox.waiting()
    outbox.put(event("two"))
    assert outbox.acknowledge(outbox.stream, 1 << 80) == 1
    assert texts(outbox) == ["two"]
