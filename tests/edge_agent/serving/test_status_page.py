import html.parser
import json
from pathlib import Path

import msgspec
import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from contract.codec import encode, utc_now
from contract.messages import Drift, Health, ReportedSlot, UpdateReport, VersionRef
from contract.package import Package
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import FailureReason, HealthState, UpdateState
from edge_agent.findings import GOOD, NOTE, WRONG, Finding
from edge_agent.serving.http_messages import Head
from edge_agent.serving.page_html import Seen, ServedModel, render
from edge_agent.serving.status_page import answer_page, look
from edge_agent.status import FleetStatus, SlotStatus, Status
from edge_agent.worker.messages import Access, SinkState, WindowStats
from tests.edge_agent.serving.serving_thread import serving

MODEL = VersionRef("digits", 3, "a" * 64)
TAGS = {"html", "head", "meta", "title", "style", "body", "header", "h1", "p", "main", "ul", "li", "b", "section", "h2", "table"}
TAGS |= {"tr", "th", "td", "div", "footer", "code"}


def status(words: str = "words", *, at: str = "", verdict: str = GOOD) -> Status:
    update = UpdateReport(UpdateState.ROLLED_BACK, MODEL, 7, reason=FailureReason.GOLDEN_MISMATCH, detail=words)
    health = Health(1, "b", utc_now(), HealthState.HEALTHY, (words,), 12.0, 4 << 30, 2 << 30, 90 << 20, 9 << 30, 7200.0, "0.1.0", 61.0)
    slots = {
        "main": SlotStatus(
            ReportedSlot(MODEL, MODEL, "onnx-int8", update), answers=True, completed=9, crashes=2, last_crash=words, latency_p50_ms=1.5,
            latency_p95_ms=2.5, sinks=(SinkState(words, offered=9, lost=4),),
        ),
        "empty": SlotStatus(ReportedSlot(), answers=False),
    }  # fmt: skip
    fleet = FleetStatus("pi-01", "barn", connected=False, away_s=300, waiting=12, dropped={"window": 4}, refusal=words)
    return Status(1, at or utc_now(), "http://127.0.0.1:8480", health, (Finding("Device", verdict, words, words),), slots, fleet)


def window(words: str = "cat") -> WindowStats:
    latency, confidence = Histogram.of(LATENCY_BOUNDS_US, [800.0] * 5), Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 5)
    return WindowStats(0, utc_now(), 60.0, 5, latency, confidence, {words: 5}, dropped=1, drift=Drift(0.1, 0.2, "ok"))


def page(folder: Path, said: Status | None, served: ServedModel | None = None) -> str:
    file = folder / "status.json"
    file.unlink(missing_ok=True)
    if said is not None:
        file.write_bytes(encode(said))
    return render(look(file, served))


class Tags(html.parser.HTMLParser):
    """The names and attributes of all tags."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


SCRAPS = st.sampled_from(["<script>alert(1)</script>", "<img src=x onerror=y>", "' onload='x", '">', "`<b>`", "</style>", "&amp;", "\x00"])


@given(words=st.lists(SCRAPS | st.text(max_size=10), min_size=1, max_size=4).map("".join))
def test_nothing_from_outside_is_markup(tmp_path_factory: pytest.TempPathFactory, words: str) -> None:
    served = ServedModel("digits", 3, words, [window(words)])
    found = Tags(page(tmp_path_factory.getbasetemp(), status(words), served))
    assert found.names <= TAGS
    assert found.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}


def test_the_page_says_what_runs_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    text = page(tmp_path, status("the camera is gone", verdict=WRONG), ServedModel("digits", 3, "onnx-int8", [window()]))
    for words in ("Something is wrong", "the camera is gone", "digits 3", "rolled back (golden_mismatch)", "none is installed", "4 of 9"):
        assert words in text
    for words in ("61 °C", "not connected for 5 min", "12 message(s) wait", "4 window", "cat 5", "0.10 ok", "up for 2 h 0 min"):
        assert words in text


def test_the_page_loads_nothing_and_asks_for_itself_again(tmp_path: Path) -> None:
    text = page(tmp_path, status())
    assert 'http-equiv="refresh"' in text
    assert not {"script", "link", "img", "iframe", "form"} & Tags(text).names
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "has said nothing yet"),
        (status(at="2020-01-01T00:00:00Z"), "has said nothing for"),
        (status(at="nonsense"), "has said nothing yet"),
    ],
)
def test_a_supervisor_that_is_silent_is_said(tmp_path: Path, said: Status | None, words: str) -> None:
    assert words in page(tmp_path, said)


@pytest.mark.parametrize(
    ("accept", "is_json"), [("", False), ("text/html,*/*", False), ("application/json", True), ("application/json, text/html", False)]
)
def test_programs_get_json(tmp_path: Path, accept: str, is_json: bool) -> None:
    file = tmp_path / "status.json"
    file.write_bytes(encode(status(verdict=NOTE)))
    head = Head("GET", "/", {"accept": accept} if accept else {}, 0, keep_alive=True, expects_continue=False)
    response = answer_page(head, look(file, ServedModel("digits", 3, "onnx-int8", [window()])))
    assert response.content_type.startswith("application/json") is is_json
    if is_json:
        content = json.loads(response.body)
        assert content["findings"][0]["verdict"] == NOTE
        assert content["status"]["slots"]["main"]["completed"] == 9
        assert content["served"]["windows"][0]["latency_p50_ms"] is not None
        assert msgspec.convert(content["status"], Status).url


def test_the_page_is_guarded_as_everything_else(package: Package) -> None:
    with serving(package) as port:
        answer = urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=False)
        assert answer.status == 200
        assert "digits 1" in answer.data.decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert urllib3.request("GET", f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}, retries=False).status == 421
        assert urllib3.request("POST", f"http://127.0.0.1:{port}/", retries=False).status == 405
    with serving(package, access=Access(token_sha256="0" * 64)) as port:
        assert urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=False).status == 401


def test_a_supervisor_that_a_full_disk_keeps_silent_is_not_blamed() -> None:
    (finding,) = Seen(None, None, None, Finding("Disk", WRONG, "the disk is full", "Free some space")).findings
    assert finding == Finding("Disk", WRONG, "the disk is full, so the supervisor can not say how it is", "Free some space")
    (finding,) = Seen(None, None, None).findings
    assert "has said nothing yet" in finding.text
