"""Samples on their way to the server: each once, none lost, none more than asked."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge_agent.uploads as uploads_module
from contract.commands import UploadSamples
from contract.samples import FieldSample
from edge_agent.capture.store import FieldSampleStore, list_samples
from edge_agent.commands_received import Outcome
from edge_agent.http_client import ServerHttp
from edge_agent.uploads import Upload, send_samples
from tests.simulators.upload_server import BREAK_OFF, UploadServer

LINE = FieldSample(1, "2026-01-01T00:00:00.000Z", "door", 1, "digits", 1, "onnx-float32", "a.png", "red", 0.4, [0.4, 0.6], "random")


@pytest.fixture
def server() -> Iterator[UploadServer]:
    with UploadServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_module, "PAUSE_FIRST_S", 0.01)
    monkeypatch.setattr(uploads_module, "PAUSE_LAST_S", 0.02)


def keep(captured: Path, *contents: bytes, slot: str = "main", suffix: str = "png") -> None:
    store = FieldSampleStore(captured / slot, 1 << 20)
    for content in contents:
        assert store.add(content, suffix, LINE) is not None


def send(server: UploadServer, captured: Path, *, stop: bool = False, patience_s: float = 30.0, **options: Any) -> Outcome:
    event = threading.Event()
    if stop:
        event.set()
    http = ServerHttp(server.url, credentials=("pi-01", "p" * 40))
    try:
        return send_samples(Upload(http, "c-1", captured, UploadSamples(**options), event, patience_s))
    finally:
        http.close()


def left(captured: Path, slot: str = "main") -> list[bytes]:
    return [kept.path.read_bytes() for kept in list_samples(captured / slot)]


def contents(server: UploadServer) -> list[bytes]:
    return [sample.data for sample in server.samples.values()]


def test_all_slots_are_sent_with_their_lines_and_deleted_here(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one", b"two")
    keep(tmp_path, b"three", slot="side", suffix="npz")
    outcome = send(server, tmp_path)
    assert outcome == Outcome(True, "3 samples (0.0 MB) came to the server", {**outcome.data, "samples": 3, "left": 0})
    assert contents(server) == [b"one", b"two", b"three"]
    assert {(sample.line.label, sample.suffix) for sample in server.samples.values()} == {("red", "png"), ("red", "npz")}
    assert left(tmp_path) == left(tmp_path, "side") == []


def test_only_the_slot_that_is_asked_for(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one")
    keep(tmp_path, b"two", slot="side")
    send(server, tmp_path, slot="side")
    assert (contents(server), left(tmp_path)) == ([b"two"], [b"one"])


def test_no_more_than_the_server_takes_and_the_rest_stays(tmp_path: Path) -> None:
    keep(tmp_path, b"one", b"two", b"three")
    with UploadServer(most=2) as server:
        outcome = send(server, tmp_path, most=2)
    assert (contents(server), left(tmp_path)) == ([b"one", b"two"], [b"three"])
    assert "1 sample stay on the device: the command asks for no more" in outcome.text
    assert outcome.ok


def test_the_same_picture_kept_many_times_is_sent_once(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"still", b"still", b"other", b"still")
    send(server, tmp_path)
    assert (server.puts, left(tmp_path)) == (2, [])


def test_nothing_kept_is_no_failure(server: UploadServer, tmp_path: Path) -> None:
    outcome = send(server, tmp_path / "none")
    assert (outcome.ok, outcome.data["samples"]) == (True, 0)


@pytest.mark.parametrize("faults", [[BREAK_OFF], [503, 500, 429], [BREAK_OFF, 502, BREAK_OFF]])
def test_trouble_on_the_way_is_borne_and_each_sample_comes_once(server: UploadServer, tmp_path: Path, faults: list[int]) -> None:
    keep(tmp_path, b"one", b"two")
    server.faults = list(faults)
    assert send(server, tmp_path).ok
    assert (contents(server), left(tmp_path)) == ([b"one", b"two"], [])
    assert server.puts == 2 + len(faults)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 507])
def test_a_server_that_refuses_ends_it_with_its_own_words_and_nothing_is_deleted(server: UploadServer, tmp_path: Path, status: int) -> None:
    keep(tmp_path, b"one", b"two")
    server.faults = [status]
    outcome = send(server, tmp_path)
    assert not outcome.ok
    assert f"2 samples stay on the device: status {status}: fault {status}" in outcome.text
    assert left(tmp_path) == [b"one", b"two"]


def test_a_server_that_stays_away_is_given_up(tmp_path: Path) -> None:
    keep(tmp_path, b"one")
    with UploadServer() as server:
        pass
    outcome = send(server, tmp_path, patience_s=0.05)
    assert not outcome.ok
    assert "can not be reached" in outcome.text
    assert left(tmp_path) == [b"one"]


def test_a_single_sample_that_is_refused_stays_and_the_others_go(server: UploadServer, tmp_path: Path) -> None:
    server.refused_suffix = "npz"
    keep(tmp_path, b"one", suffix="npz")
    keep(tmp_path, b"two")
    outcome = send(server, tmp_path)
    assert (contents(server), left(tmp_path)) == ([b"two"], [b"one"])
    assert outcome.ok
    assert outcome.data["refused"] == 1


def test_what_a_power_cut_damaged_is_deleted_and_said(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one", b"two")
    list_samples(tmp_path / "main")[0].path.write_bytes(b"xxx")
    outcome = send(server, tmp_path)
    assert (contents(server), left(tmp_path), outcome.data["damaged"]) == ([b"two"], [], 1)


def test_a_newer_sample_that_took_a_sent_ones_number_stays(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one")
    (kept,) = list_samples(tmp_path / "main")
    upload = Upload(ServerHttp(server.url), "c-1", tmp_path, UploadSamples(), threading.Event())
    for path in (tmp_path / "main").iterdir():
        path.unlink()
    keep(tmp_path, b"newer")
    uploads_module._discard_sent(kept)
    upload.http.close()
    assert left(tmp_path) == [b"newer"]


def test_it_ends_when_it_is_told_to(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one")
    assert not send(server, tmp_path, stop=True).ok
    assert left(tmp_path) == [b"one"]


FAULTS = st.sampled_from([BREAK_OFF, 503, 507, 409, 422, 403])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(FAULTS, max_size=3), min_size=1, max_size=4), st.integers(1, 6))
def test_whatever_happens_on_the_way_each_sample_is_there_and_on_the_server_once(lives: list[list[int]], count: int) -> None:
    kept = [f"sample {number}".encode() for number in range(count)]
    with UploadServer() as server, tempfile.TemporaryDirectory() as folder:
        captured = Path(folder)
        keep(captured, *kept)
        for faults in lives:
            server.faults = list(faults)
            send(server, captured)
            assert set(contents(server)) | set(left(captured)) == set(kept), "none is lost"
            assert len(contents(server)) == len(set(contents(server)))
        server.faults = []
        assert send(server, captured).ok
        assert (sorted(contents(server)), left(captured)) == (sorted(kept), [])


def test_begun_again_after_everything_came_it_says_the_same_and_sends_nothing(server: UploadServer, tmp_path: Path) -> None:
    keep(tmp_path, b"one", b"two")
    first = send(server, tmp_path)
    assert send(server, tmp_path) == first
    assert server.puts == 2
