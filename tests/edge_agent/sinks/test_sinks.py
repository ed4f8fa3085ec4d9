import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from contract.application import Sink
from edge_agent.sinks.callback import register_callback
from edge_agent.sinks.sink import Record, SinkError, offer
from edge_agent.sinks.table import SINKS, open_sink
from edge_agent.sources.source import SourceError

RECORD = Record("2026-01-01T00:00:00.000Z", "a.png", "red", 0.9, True, [0.9, 0.1], 0.2, "digits", 1, "onnx-float32", "colours")


def test_records_are_appended_line_by_line(tmp_path: Path) -> None:
    for _ in range(2):
        sink = open_sink(Sink("jsonl", {"path": "out/predictions.jsonl"}), tmp_path)
        sink.write(RECORD)
        sink.close()
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["red", "red"]


def test_files_rotate_by_size_and_in_the_order_of_numbers(tmp_path: Path) -> None:
    sink = open_sink(Sink("jsonl", {"path": "p.jsonl", "max_bytes": 1024, "keep": 11}), tmp_path)
    for number in range(80):
        sink.write(msgspec.structs.replace(RECORD, version=number))
    sink.close()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"p.jsonl", *(f"p.jsonl.{number}" for number in range(1, 12))}
    assert all(path.stat().st_size <= 1024 for path in tmp_path.iterdir())
    order = [tmp_path / f"p.jsonl.{number}" for number in range(11, 0, -1)] + [tmp_path / "p.jsonl"]
    versions = [json.loads(line)["version"] for path in order for line in path.read_text().splitlines()]
    assert versions == sorted(versions)
    assert versions[-1] == 79


def test_a_sink_that_can_not_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="can not be written"):
        open_sink(Sink("jsonl", {"path": "file/p.jsonl"}), tmp_path)


def test_a_callback_must_be_registered_by_the_devices_own_program(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"no callback named 'os\.system'"):
        open_sink(Sink("callback", {"name": "os.system"}), tmp_path)
    taken: list[Record] = []
    register_callback("lamp", taken.append)
    open_sink(Sink("callback", {"name": "lamp"}), tmp_path).write(RECORD)
    assert taken == [RECORD]


class WordlessError(Exception):
    def __str__(self) -> str:
        raise OSError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("blue"), "KeyError: 'blue'"),
        (WordlessError(), "WordlessError"),
        (ValueError("x" * 2_000_000), "ValueError: xxx"),
        (ValueError("no\n  lamp\n"), "ValueError: no lamp"),
    ],
)
def test_what_the_owners_function_raises_is_a_refused_record_in_few_words(tmp_path: Path, error: Exception, words: str) -> None:
    raised = [error, error, None]

    def switch(_record: Record) -> None:
        if (next_error := raised.pop(0)) is not None:
            raise next_error

    register_callback("lamp", switch)
    sink = open_sink(Sink("callback", {"name": "lamp"}), tmp_path)
    broken: list[str] = []
    sink.health.on_broken = lambda: broken.append(sink.health.reason)
    for _ in range(3):
        offer(sink, RECORD)
    assert broken == [sink.health.reason], "said when it begins, not with every record"
    assert f"its function failed: {words}" in sink.health.reason
    assert len(sink.health.reason) <= 300
    assert (sink.health.offered, sink.health.lost, sink.health.refused, sink.health.is_broken) == (3, 2, 2, False)


def test_a_disk_that_takes_half_a_line_keeps_none_of_it(tmp_path: Path) -> None:
    """A limit of the file's length is a full disk for this process: the write that reaches it is a short one."""
    code = f"""
import resource, signal
from pathlib import Path
from contract.application import Sink
from edge_agent.sinks.sink import offer
from edge_agent.sinks.table import open_sink
from tests.edge_agent.sinks.test_sinks import RECORD

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sink = open_sink(Sink("jsonl", {{"path": "p.jsonl"}}), Path({str(tmp_path)!r}))
offer(sink, RECORD)
length = (Path({str(tmp_path)!r}) / "p.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (length + length // 2, resource.RLIM_INFINITY))
offer(sink, RECORD)
print(sink.health.is_broken, sink.health.lost, sink.health.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
offer(sink, RECORD)
print(sink.health.is_broken, sink.health.offered)
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    first, last = answer.stdout.splitlines()
    assert re.fullmatch(r"True 1 .*p\.jsonl can not be written: .*No space left on device", first)
    assert last == "False 3"
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert [json.loads(line)["label"] for line in lines] == ["red", "red"]


def test_a_rotation_that_failed_half_way_is_made_up_for(tmp_path: Path) -> None:
    sink = open_sink(Sink("jsonl", {"path": "out/p.jsonl", "max_bytes": 1024, "keep": 2}), tmp_path)
    offer(sink, RECORD)
    length = (tmp_path / "out" / "p.jsonl").stat().st_size
    for _ in range(1024 // length - 1):
        offer(sink, RECORD)
    (tmp_path / "out" / "p.jsonl").unlink()  # so that the rotation fails after the file was closed
    offer(sink, RECORD)
    assert (sink.health.is_broken, sink.health.lost) == (True, 1)
    offer(sink, RECORD)
    assert not sink.health.is_broken
    sink.close()
    assert len((tmp_path / "out" / "p.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (Sink("siren"), "'siren' is not supported by this agent version; it knows jsonl, mqtt, webhook, gpio, callback"),
        (Sink("jsonl", {"file": "x"}), "known are path, max_bytes, keep"),
    ],
)
def test_an_unknown_kind_or_option_is_refused(tmp_path: Path, document: Sink, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_sink(document, tmp_path)


def test_the_table_lists_every_module_of_the_folder() -> None:
    folder = Path(__file__).parents[3] / "edge_agent" / "sinks"
    kinds = {path.stem for path in folder.glob("*.py") if "def open_sink(options" in path.read_text(encoding="utf-8")}
    assert {kind.open_sink.__module__.rpartition(".")[2] for kind in SINKS.values()} == kinds
