"""Deadlines, queue, statistics and metrics of an endpoint under load."""

import concurrent.futures
import http.client
import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.serving.deadlines import timeout_s
from edge_agent.serving.http_messages import HttpError
from edge_agent.serving.metrics import family
from tests.edge_agent.serving.serving_thread import SLOW_US, serving
from tests.edge_agent.serving.test_endpoint import IMAGE, ask, png
from tests.simulators.packages import make_frames, make_package

BODY = png(make_frames(1, 8)[0][0])
SAMPLE_LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? ([0-9.e+-]+|\+Inf)').fullmatch


@pytest.fixture(scope="module")
def slow_package(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    folder: Path = tmp_path_factory.mktemp("slow") / "slow"
    return make_package(folder, key=key, kind="slow")


@pytest.fixture
def slow_port(slow_package: Package) -> Iterator[int]:
    with serving(slow_package, latency_us=SLOW_US, queue_length=3) as port:
        yield port


def metrics(port: int) -> dict[str, float]:
    """Every sample of `/metrics` by name and labels, each line checked for its form."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = response.read().decode()
    assert text.endswith("\n")
    found: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            match = SAMPLE_LINE(line)
            assert match, line
            assert line.rpartition(" ")[0] not in found
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def test_a_request_is_answered_504_at_its_deadline_and_leaves_the_queue(slow_port: int) -> None:
    headers = {**IMAGE, "Timeout": "1000"}
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(slow_port, "POST", "/predict", BODY, headers), range(12)))
    assert {state for state, _, _ in answers} <= {503, 504}
    assert 504 in {state for state, _, _ in answers}
    assert time.monotonic() - begun < 5
    assert ask(slow_port, "POST", "/predict", BODY, IMAGE)[0] == 200
    found = metrics(slow_port)
    labels = '{model="digits",version="1"}'
    assert found[f"eyelet_queue_depth{labels}"] == 0
    assert found[f"eyelet_deadline_misses_total{labels}"] == sum(state == 504 for state, _, _ in answers)
    assert found[f"eyelet_dropped_total{labels}"] == sum(state == 503 for state, _, _ in answers)
    assert found['eyelet_http_responses_total{code="504"}'] == sum(state == 504 for state, _, _ in answers)


def test_the_servers_own_deadline_holds_for_all(slow_package: Package) -> None:
    with serving(slow_package, latency_us=SLOW_US, deadline_s=0.001) as port:
        assert ask(port, "POST", "/predict", BODY, {**IMAGE, "Timeout": "60000000"})[0] == 504


def test_the_time_in_the_queue_is_in_the_statistics(slow_port: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert {state for state, _, _ in pool.map(lambda _: ask(slow_port, "POST", "/predict", BODY, IMAGE), range(4))} == {200}
    found = ask(slow_port, "GET", "/v2/models/digits/stats")[1]["model_stats"][0]["inference_stats"]
    assert found["success"]["count"] == found["queue"]["count"] == 4
    assert found["queue"]["ns"] > found["compute_infer"]["ns"] / 4
    assert found["fail"]["count"] == 0


@pytest.mark.parametrize("timeout", ["soon", "-1", "1.5", "9" * 16])
def test_a_deadline_that_is_no_number_is_refused(port: int, timeout: str) -> None:
    state, found, _ = ask(port, "POST", "/predict", BODY, {**IMAGE, "Timeout": timeout})
    assert (state, "microseconds" in found["error"]) == (400, True)


def test_the_earlier_deadline_holds_and_zero_is_none() -> None:
    assert timeout_s({}, None, 30) == 30
    assert timeout_s({"timeout": "2000000"}, None, 30) == 2
    assert timeout_s({"timeout": "2000000"}, 500_000, 30) == 0.5
    assert timeout_s({}, 0, 30) == 30
    assert timeout_s({}, 90_000_000, 30) == 30
    for wrong in (True, -1, 2.5, [1]):
        with pytest.raises(HttpError):
            timeout_s({}, wrong, 30)


def test_metrics_count_what_happened(package: Package) -> None:
    with serving(package) as port:
        for body, count in ((BODY, 3), (b"no image", 2)):
            for _ in range(count):
                ask(port, "POST", "/predict", body, IMAGE)
        found = metrics(port)
    labels = 'model="digits",version="1"'
    assert found[f'eyelet_model_info{{{labels},variant="onnx-float32",task="image-classification"}}'] == 1
    assert found[f"eyelet_inferences_total{{{labels}}}"] == 3
    assert found[f"eyelet_request_failures_total{{{labels}}}"] == 2
    assert found[f'eyelet_predictions_total{{{labels},label="red"}}'] == 3
    assert found['eyelet_http_responses_total{code="400"}'] == 2
    assert found[f"eyelet_queue_limit{{{labels}}}"] == 32
    for name in ("eyelet_inference_duration_seconds", "eyelet_request_duration_seconds"):
        buckets = [value for key, value in found.items() if key.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets)
        assert buckets[-1] == found[f"{name}_count{{{labels}}}"] == 3
        assert 0 < found[f"{name}_sum{{{labels}}}"] < 3


def test_labels_of_metrics_are_escaped() -> None:
    text = family("a", "counter", "Words.", iter([("", {"label": 'a"b\\c\nd'}, 1)]))
    assert text.splitlines()[-1] == 'a{label="a\\"b\\\\c\\nd"} 1'
