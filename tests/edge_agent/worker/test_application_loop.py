import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.application import Application, CapturePolicy, Rule, Sink, Source
from contract.package import Package
from edge_agent.capture.store import list_samples
from edge_agent.engine.engine import Engine
from edge_agent.sources import live
from edge_agent.worker.application_loop import ApplicationLoop
from edge_agent.worker.inference import Inference
from edge_agent.worker.messages import FromWorker, RuleFired, SinkSaid, SourceEnded, SourceSaid
from edge_agent.worker.seldom_log import SeldomLog
from edge_agent.worker.windows import WindowRecorder
from tests.simulators.packages import make_frames

REPLAY = Source("folder", {"path": "images", "per_second": 1000, "repeat": False})
JSONL = Sink("jsonl", {"path": "all.jsonl"})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for index, frame in enumerate(make_frames(6, 4)[0]):  # red, green, blue, red, green, blue
        Image.fromarray(frame).save(tmp_path / "images" / f"{index}.png")
    return tmp_path


def document(**fields: object) -> Application:
    plain: dict[str, object] = {"source": REPLAY, "sinks": (JSONL,)}
    return Application(1, "colours", 1, "digits", **{**plain, **fields})  # type: ignore[arg-type]


def run(application: Application, package: Package, engine: Engine, folder: Path) -> tuple[list[FromWorker], WindowRecorder]:
    messages: list[FromWorker] = []

    async def story() -> WindowRecorder:
        recorder = WindowRecorder(package.manifest.labels, None, 0.0)
        inference = Inference(engine, recorder, latency_us=100, queue_length=8)
        await ApplicationLoop(application, inference, package.manifest, "onnx-float32").run(folder, messages.append)
        return recorder

    return messages, asyncio.run(asyncio.wait_for(story(), 10))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_sink_of_rules_hears_only_what_fires_one(package: Package, engine: Engine, images: Path) -> None:
    alarms = Sink("jsonl", {"path": "alarms.jsonl"}, on="rules")
    messages, _ = run(document(sinks=(JSONL, alarms), rules=(Rule(label="red", count=2, within_s=60),)), package, engine, images)
    assert [line["label"] for line in lines(images / "all.jsonl")] == ["red", "green", "blue"] * 2
    (alarm,) = lines(images / "alarms.jsonl")
    assert alarm["source"] == "3.png"
    assert alarm["rule"].startswith("red at 0 or more, 2 times within")
    assert [message.text for message in messages if isinstance(message, RuleFired)] == [alarm["rule"]]


def test_a_sink_that_loses_every_record_is_said_with_its_number_of_records(package: Package, engine: Engine, images: Path) -> None:
    (images / "hooks").mkdir()
    (images / "hooks" / "broken_for_test.py").write_text("def switch(record): raise RuntimeError('no lamp')\n")
    (images / "config.json").write_text('{"callbacks": {"lamp": "broken_for_test:switch"}}')
    messages, _ = run(document(sinks=(JSONL, Sink("callback", {"name": "lamp"}))), package, engine, images)
    first, *_, last, ended = messages
    assert isinstance(first, SinkSaid)
    assert isinstance(last, SinkSaid)
    assert (first.number, first.state.name, first.state.reason) == (1, "callback lamp", "its function failed: RuntimeError: no lamp")
    assert first.state.advice.startswith("Correct the function that `callbacks` in config.json names")
    assert (last.state.offered, last.state.lost, last.state.refused) == (6, 6, 6)
    assert ended == SourceEnded("the source came to its end")
    assert len(messages) <= 4, "not one message for each record"
    assert len(lines(images / "all.jsonl")) == 6


def test_what_a_queue_still_held_at_the_end_is_told(package: Package, engine: Engine, images: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"
    messages, _ = run(document(sinks=(Sink("webhook", {"url": url}), JSONL)), package, engine, images)
    said = [message for message in messages if isinstance(message, SinkSaid)]
    assert [(one.number, one.state.lost, one.state.refused, one.state.waiting) for one in said] == [(0, 6, 0, 0)]
    assert "gives no answer" in said[0].state.reason


def test_a_callback_of_the_owners_is_found_by_its_name(package: Package, engine: Engine, images: Path) -> None:
    (images / "hooks").mkdir()
    (images / "hooks" / "lamp_for_test.py").write_text("seen = []\ndef switch(record): seen.append(record.label)\n")
    (images / "config.json").write_text('{"callbacks": {"lamp": "lamp_for_test:switch"}}')
    messages, _ = run(document(sinks=(Sink("callback", {"name": "lamp"}),)), package, engine, images)
    assert messages == [SourceEnded("the source came to its end")]
    assert sys.modules["lamp_for_test"].seen == ["red", "green", "blue"] * 2
    (images / "config.json").write_text('{"callbacks": {"bell": "nowhere_for_test:ring"}}')
    messages, _ = run(document(sinks=(Sink("callback", {"name": "bell"}),)), package, engine, images)
    assert messages[0].failed  # type: ignore[union-attr]
    assert "'nowhere_for_test:ring' can not be imported" in messages[0].detail  # type: ignore[union-attr]


def test_samples_are_kept_only_where_the_device_allows_it(package: Package, engine: Engine, images: Path) -> None:
    application = document(capture=CapturePolicy(random_share=1.0))
    run(application, package, engine, images)
    assert not (images / "captured").exists()
    (images / "config.json").write_text('{"capture_samples": true}')
    run(application, package, engine, images)
    kept = list_samples(images / "captured" / "main")
    assert [sample.line.source for sample in kept] == sorted({sample.line.source for sample in kept}), "in order, each once"
    assert len(kept) >= 4, "the writer has room for so many, however slow it is"
    for sample in kept:
        np.testing.assert_array_equal(np.asarray(Image.open(sample.path)), np.asarray(Image.open(images / "images" / sample.line.source)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rules": (Rule(label="rde"),)}, "has a rule for 'rde', a label that digits does not have; did you mean 'red'?"),
        ({"thresholds": {"default": 0.5, "cat": 0.9}}, "has a threshold for 'cat', a label that digits does not have; it has red, green"),
        ({"sinks": (Sink("jsonl", {"path": "state/journal.jsonl"}),)}, "belongs to the agent itself"),
    ],
)
def test_what_could_never_work_is_refused(package: Package, engine: Engine, images: Path, *, fields: dict, words: str) -> None:
    (ended,), _ = run(document(**fields), package, engine, images)
    assert isinstance(ended, SourceEnded)
    assert ended.failed
    assert words in ended.detail


@pytest.fixture
def _stubborn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from edge_agent.sources import serial_lines

    monkeypatch.setattr(serial_lines, "POLICY", live.LivePolicy(16, 0.001, 0.005, 0.02))
    return


@pytest.mark.usefixtures("_stubborn")
def test_a_live_source_that_never_gave_a_sample_counts_as_failed_and_is_tried_on(tmp_path: Path, visitors: tuple[Package, Engine]) -> None:
    package, engine = visitors
    application = Application(1, "door", 1, "visitors", Source("serial", {"path": "port"}), (JSONL,))
    messages: list[FromWorker] = []

    async def story() -> None:
        told: asyncio.Queue[FromWorker] = asyncio.Queue()
        inference = Inference(engine, WindowRecorder(package.manifest.labels, None, 0.0), latency_us=100, queue_length=8)
        application_loop = ApplicationLoop(application, inference, package.manifest, "onnx-float32")
        running = asyncio.create_task(application_loop.run(tmp_path, told.put_nowait))
        messages.append(await told.get())
        (tmp_path / "port.new").write_text("1,Bonn\n")
        (tmp_path / "port.new").rename(tmp_path / "port")
        messages.append(await told.get())
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(asyncio.wait_for(story(), 10))
    assert isinstance(messages[0], SourceEnded)
    assert messages[0].failed
    assert "No such file" in messages[0].detail
    assert messages[1] == SourceSaid("port gives samples again")
    assert lines(tmp_path / "all.jsonl")[0]["source"] == "port:1"


@pytest.fixture
def visitors(tmp_path: Path, key: object) -> Iterator[tuple[Package, Engine]]:
    from edge_agent.engine.engine import open_engine
    from tests.simulators.tables import make_table_package

    package = make_table_package(tmp_path / "package", key=key)  # type: ignore[arg-type]
    with open_engine(package, "onnx-float32") as engine:
        yield package, engine


def test_the_same_words_are_said_once_a_minute_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    seldom = SeldomLog()
    for _ in range(100):
        seldom.tell("too slow", 3, lambda amount: f"dropped {amount}")
    seldom.tell("another", 1, lambda amount: f"also {amount}")
    assert [record.getMessage() for record in caplog.records] == ["dropped 3", "also 1"]
    seldom._said_s["too slow"] -= 61
    seldom.tell("too slow", 1, lambda amount: f"dropped {amount}")
    assert caplog.records[-1].getMessage() == "dropped 298"
