import re
import socket
import time
from pathlib import Path

import msgspec
import pytest

from contract.application import Sink
from edge_agent.sinks import outgoing, webhook
from edge_agent.sinks.outgoing import QueuePolicy
from edge_agent.sinks.sink import offer
from edge_agent.sinks.table import open_sink
from edge_agent.sources.source import SourceError
from tests.edge_agent.sinks.receivers import receiving
from tests.edge_agent.sinks.test_sinks import RECORD
from tests.simulators.certificates import write_certificate
from tests.simulators.waiting import PROMPT_S, wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "QueuePolicy", lambda length: QueuePolicy(length, 0.001, 0.01))
    monkeypatch.setattr(outgoing, "FAREWELL_S", 0.3)


def numbered(number: int) -> object:
    return msgspec.structs.replace(RECORD, version=number)


def test_records_are_posted_in_order_with_the_devices_own_token(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "door").write_text("hush\n")
    with receiving() as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url, "token": "door"}), tmp_path)
        for number in range(20):
            sink.write(numbered(number))
        sink.close()
    assert [received.body["version"] for received in receiver.received] == list(range(20))
    first = receiver.received[0]
    assert first.body["label"] == "red"
    assert first.headers["Authorization"] == "Bearer hush"
    assert first.headers["Content-Type"] == "application/json"


def test_server_errors_are_tried_again_and_nothing_is_lost_or_repeated_after_success(tmp_path: Path) -> None:
    with receiving(lambda number: (503 if number % 3 else 200, {})) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        for number in range(3):
            sink.write(numbered(number))
        wait_until(lambda: len(receiver.received) == 7)
        sink.close()
    assert [received.body["version"] for received in receiver.received] == [0, 1, 1, 1, 2, 2, 2]


def test_an_address_that_does_not_want_it_is_not_asked_twice(tmp_path: Path) -> None:
    with receiving(lambda _: (404, {})) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        sink.write(numbered(1))
        wait_until(lambda: len(receiver.received) == 1)
        wait_until(lambda: sink.health.lost == 1)
        assert sink.health.is_broken
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/hook does not want it: it answered 404", sink.health.reason)
        offer(sink, numbered(2))
        wait_until(lambda: sink.health.lost == 2)
        sink.close()
    versions = [received.body["version"] for received in receiver.received]
    assert versions.count(1) == 1


def test_over_tls_only_an_address_with_a_trusted_certificate_hears_it(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    with receiving(certificate=certificate) as receiver:
        strict = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        strict.write(RECORD)
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in strict.health.reason)
        assert not receiver.received
        strict._queue.clear()
        strict.close()
        sink = open_sink(Sink("webhook", {"url": receiver.url, "ca_file": "cert.pem"}), tmp_path)
        sink.write(RECORD)
        wait_until(lambda: len(receiver.received) == 1)
        sink.close()


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with receiving() as other, receiving(lambda _: (307, {"Location": other.url})) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        sink.write(RECORD)
        sink.close()
    assert len(receiver.received) == 1
    assert not other.received


def test_retry_after_is_kept_to(tmp_path: Path) -> None:
    with receiving(lambda number: (429, {"Retry-After": "30"}) if not number else (200, {})) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        sink.write(RECORD)
        wait_until(lambda: len(receiver.received) == 1)
        sink.close()
    assert len(receiver.received) == 1


def test_nobody_there_never_makes_inference_wait_and_what_does_not_fit_is_lost_oldest_first(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections and never answers
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        sink = open_sink(Sink("webhook", {"url": url, "queue": 10, "timeout_s": 0.2}), tmp_path)
        begun = time.monotonic()
        for number in range(10):
            sink.write(numbered(number))
        for number in range(10, 1000):
            sink.write(numbered(number))
            assert sink.health.lost == number - 9
        assert time.monotonic() - begun < PROMPT_S  # to wait at each would take minutes
        assert [record.version for record in sink._queue] == list(range(990, 1000))
        wait_until(lambda: "gives no answer" in sink.health.reason)
        sink.close()
        assert sink.health.lost == 1000, "what waits at the end is lost, too"


def test_an_address_that_answers_again_is_said_to_work_and_what_was_lost_stays_counted(tmp_path: Path) -> None:
    with receiving(lambda number: (404 if number == 0 else 500 if number < 4 else 204, {})) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url}), tmp_path)
        broken: list[str] = []
        sink.health.on_broken = lambda: broken.append(sink.health.reason[-3:])
        for number in range(3):
            offer(sink, numbered(number))
        wait_until(lambda: len(receiver.received) == 6)
        wait_until(lambda: not sink.health.is_broken)
        sink.close()
    assert (sink.health.offered, sink.health.lost, sink.health.refused) == (3, 1, 0)
    assert broken == ["404"], "said once, when it begins"


def test_an_answer_whose_body_never_comes_or_has_no_length_costs_no_further_record(tmp_path: Path) -> None:
    headers = ({"Content-Length": "9"}, {"Content-Length": "much"}, {})
    with receiving(lambda number: (200, dict(headers[min(number, 2)]))) as receiver:
        sink = open_sink(Sink("webhook", {"url": receiver.url, "timeout_s": 0.2}), tmp_path)
        for number in range(4):
            offer(sink, numbered(number))
        wait_until(lambda: not sink._queue)
        sink.close()
    assert [received.body["version"] for received in receiver.received] == [0, 1, 2, 3]
    assert sink.health.lost == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://x/"}, "must be http"),
        ({"url": "http://me:hush@x/"}, "without an account"),
        ({"url": "http://x/", "token": "door"}, "holds no secret 'door'"),
        ({"url": "https://x/", "ca_file": "absent.pem"}, "can not be read"),
        ({"url": "http://x/", "queue": 0}, "not valid"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_sink(Sink("webhook", options), tmp_path)
