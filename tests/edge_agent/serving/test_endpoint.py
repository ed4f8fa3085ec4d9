import concurrent.futures
import contextlib
import gzip
import http.client
import io
import json
import select
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.serving.patience import Patience
from edge_agent.serving.traffic import BODIES_AT_ONCE, MAX_CONNECTIONS
from tests.edge_agent.serving.serving_thread import SLOW_US, serving
from tests.simulators.packages import make_frames, make_package
from tests.simulators.waiting import PROMPT_S

IMAGE = {"Content-Type": "image/png"}


def png(frame: np.ndarray) -> bytes:
    body = io.BytesIO()
    Image.fromarray(frame).save(body, "PNG")
    return body.getvalue()


def ask(port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, dict, dict[str, str]]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body, headers or {})
        with connection.getresponse() as answer:
            data = answer.read()
            return answer.status, json.loads(data) if data else {}, dict(answer.headers)


def raw(port: int, data: bytes) -> bytes:
    """What comes back for bytes as they are, until the server closes or 5 s pass."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


@pytest.mark.parametrize("path", ["/predict", "/v2/models/digits/infer", "/v2/models/digits/versions/1/infer"])
def test_an_image_body_is_answered_with_label_and_scores(port: int, path: str) -> None:
    (frame, *_), _ = make_frames(1, 8)
    state, answer, headers = ask(port, "POST", path, png(frame), IMAGE)
    assert state == 200
    assert headers["Content-Type"] == "application/json"
    assert (answer["label"], answer["model_name"], answer["model_version"], answer["variant"]) == ("red", "digits", "1", "onnx-float32")
    assert answer["score"] == max(answer["scores"])
    assert len(answer["scores"]) == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "state", "words"),
    [
        ("GET", "/nowhere", b"", {}, 404, "nothing is at '/nowhere'"),
        ("GET", "/predict", b"", {}, 405, "takes POST"),
        ("POST", "/v2", b"", {}, 405, "takes GET"),
        ("POST", "/predict", b"no image", IMAGE, 400, "no image of a known format"),
        ("POST", "/predict", b"", IMAGE, 400, "empty"),
        ("POST", "/predict", b"{}", {"Content-Type": "application/json"}, 415, "takes an image"),
        ("POST", "/predict", b"x", {**IMAGE, "Content-Encoding": "br"}, 415, "gzip and deflate"),
        ("POST", "/predict", b"no gzip", {**IMAGE, "Content-Encoding": "gzip"}, 400, "broken"),
        (
            "POST",
            "/predict",
            gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0),
            {**IMAGE, "Content-Encoding": "gzip"},
            400,
            "must be one stream",
        ),
        ("POST", "/v2/models/digits/infer", b"{", {}, 400, "not valid"),
        ("POST", "/v2/models/digits/infer", b"{}", {}, 400, "inputs"),
        ("POST", "/v2/models/digits/infer", b'{"inputs":[]}', {}, 400, "expected the inputs frame; got none"),
        ("POST", "/v2/models/digits/infer", b'{"inputs":[]}', {"Inference-Header-Content-Length": "99"}, 400, "no length within the body"),
        ("POST", "/predict", b"", {**IMAGE, "Host": "evil.example"}, 421, "localhost only"),
        ("POST", "/predict", b"", {**IMAGE, "Origin": "https://evil.example"}, 403, "other sites"),
    ],
)
def test_what_is_wrong_is_said_as_json(
    port: int, *, method: str, path: str, body: bytes, headers: dict[str, str], state: int, words: str
) -> None:
    found, answer, _ = ask(port, method, path, body, headers)
    assert found == state
    assert words in answer["error"]


def tensor(**changes: object) -> dict:
    return {"name": "frame", "shape": [1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3], **changes}


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([tensor(datatype="FP32")], "expected datatype UINT8"),
        ([tensor(data=[1, 2, 300])], "outside 0 to 255"),
        ([tensor(data=[1, 2, -1])], "outside 0 to 255"),
        ([tensor(data=[1, 2, 2.5])], "other elements than UINT8"),
        ([tensor(data=[1, 2])], "needs 3 elements, the data has 2"),
        ([tensor(data=["a", "b", "c"])], "other elements"),
        ([tensor(data=[[1], [2, 3]])], "ragged"),
        ([tensor(shape=[-1, 1, 3])], "whole numbers"),
        ([tensor(shape=[10**9, 10**9, 3])], "needs"),
        ([tensor(data=None)], "either in JSON or as binary"),
        ([tensor(data=None, parameters={"binary_data_size": 3})], "more than what follows"),
        ([tensor(parameters={"binary_data_size": 0})], "either in JSON or as binary"),
        ([tensor(), tensor()], "each once"),
        ([tensor(name="picture")], "got 'picture'"),
    ],
)
def test_a_tensor_that_is_wrong_is_refused_and_never_bent(port: int, inputs: list[dict], words: str) -> None:
    state, answer, _ = ask(port, "POST", "/v2/models/digits/infer", json.dumps({"inputs": inputs}).encode())
    assert state == 400
    assert words in answer["error"]


def test_an_unknown_output_is_refused(port: int) -> None:
    body = json.dumps({"inputs": [tensor()], "outputs": [{"name": "boxes"}]}).encode()
    assert ask(port, "POST", "/v2/models/digits/infer", body)[0] == 400


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"GET / HTTP/2\r\nHost: localhost\r\n\r\n", 505),
        (b"GET /v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET  /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://localhost/v2 HTTP/1.1\r\n\r\n", 400),
        (b"GET http://evil.example/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET http://localhost.evil.example/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET http://evil.example/v2 HTTP/1.0\r\n\r\n", 421),
        (b"GET http://:80/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        (b"GET http://localhost:80@evil.example/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://evil.example\\@localhost/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http:///v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http:/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET localhost/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET ftp://localhost/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET http://localhost#/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\r\n\r\nGET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"\nGET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1_0\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 1\r\n\r\nx", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"POST /predict HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 17 + b"\r\n", 400),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", 413),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"e" * 300, 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n", 400),
        (b"GET /v2\tx HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /v2 HTTP/1.1\r\nHost:\r\n\r\n", 421),
        (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n", 413),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 80 + b"\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\nX: " + b"y" * 20_000, 431),
        (b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nExpect: magic\r\n\r\n", 417),
    ],
)
def test_a_request_that_bends_the_protocol_is_refused_and_the_connection_closed(port: int, data: bytes, state: int) -> None:
    answer = raw(port, data + b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n" * (state != 431))
    assert answer.startswith(f"HTTP/1.1 {state} ".encode())
    assert b"Connection: close" in answer
    assert answer.count(b"Content-Length: ") == 1


@pytest.mark.parametrize("target", ["http://127.0.0.1:8080/v2", "HTTP://LocalHost/v2?x=1", "https://[::1]:8080/v2"])
def test_a_target_as_it_is_sent_to_a_proxy_is_taken_and_its_host_counts(port: int, target: str) -> None:
    for host in ("localhost", "evil.example"):
        answer = raw(port, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200 OK")
        assert b'"name":"eyelet-agent"' in answer


@pytest.mark.parametrize("target", ["http://localhost", "http://localhost?x=1"])
def test_a_target_without_a_path_is_the_first_page(port: int, target: str) -> None:
    get = "GET {} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
    answer = raw(port, get.format(target).encode())
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"text/html" in answer


def test_an_empty_line_before_a_request_is_ignored(port: int) -> None:
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    post = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"
    assert raw(port, b"\r\n" + get + post + b"\r\n" + get + get).count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.parametrize(
    ("version", "wish", "said"),
    [("1.0", "keep-alive", "keep-alive"), ("1.0", "x", "close"), ("1.1", "x", "keep-alive"), ("1.1", "close", "close")],
)
def test_an_answer_says_whether_the_connection_is_kept(port: int, version: str, wish: str, said: str) -> None:
    get = f"GET /v2/health/live HTTP/{version}\r\nHost: localhost\r\nConnection: {wish}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, connection.makefile("rb") as answers:
        for _ in range(2 if said == "keep-alive" else 1):
            connection.sendall(get)
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            headers = http.client.parse_headers(answers)
            assert headers.get_all("Connection") == [said]
            answers.read(int(headers["Content-Length"]))
        if said == "close":
            assert answers.read() == b""


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_bytes_of_any_kind_never_stop_the_endpoint(port: int, data: bytes, valid_start: bool) -> None:
    raw(port, b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" * valid_start + data)
    assert ask(port, "GET", "/v2/health/live")[0] == 200


def test_requests_that_come_together_are_answered_in_order(port: int) -> None:
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    (frame, *_), _ = make_frames(1, 8)
    body = png(frame)
    post = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answer = raw(port, get + post + get)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b'"label"') > answer.index(b"HTTP/1.1 200 OK")


def test_a_request_in_single_bytes_is_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_large_body_comes_whole_after_100_continue(port: int) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (700, 900, 3)).astype(np.uint8)
    head = json.dumps({"inputs": [tensor(shape=list(frame.shape), data=None, parameters={"binary_data_size": frame.nbytes})]}).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(
            b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\n"
            b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (len(head), len(head) + frame.nbytes)
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(head + frame.tobytes())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_head_gives_no_body_and_http_1_0_closes(port: int) -> None:
    answer = raw(port, b"HEAD /v2 HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert body == b""


def test_a_slow_model_answers_in_a_queue_with_a_bound(tmp_path: Path, key: PrivateKey) -> None:
    slow = make_package(tmp_path / "slow", key=key, kind="slow")
    body = png(make_frames(1, 8)[0][0])
    with serving(slow, latency_us=SLOW_US, queue_length=1) as port:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: ask(port, "POST", "/predict", body, IMAGE), range(12)))
            begun = time.monotonic()
            assert ask(port, "GET", "/v2/health/ready")[0] == 200
            assert time.monotonic() - begun < PROMPT_S
        states = [state for state, _, _ in answers]
        assert 200 in states
        assert set(states) <= {200, 503}
        refused = [(answer, headers) for state, answer, headers in answers if state == 503]
        assert refused
        assert all(int(headers["Retry-After"]) >= 1 and "under way" in answer["error"] for answer, headers in refused)


def test_a_body_beyond_the_bound_is_refused_also_when_it_is_compressed(package: Package) -> None:
    with serving(package, max_body_bytes=10_000) as port:
        state, answer, _ = ask(port, "POST", "/predict", gzip.compress(bytes(1_000_000)), {**IMAGE, "Content-Encoding": "gzip"})
        assert (state, "unpacks to more than 10000 bytes" in answer["error"]) == (413, True)


def test_a_refused_upload_still_gets_its_answer(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(50):
                connection.sendall(bytes(1_000_00))
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_connections_and_large_bodies_have_a_bound(package: Package) -> None:
    with serving(package, max_body_bytes=100_000) as port, contextlib.ExitStack() as stack:
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
        for _ in range(BODIES_AT_ONCE):
            upload = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            upload.sendall(head)
            assert upload.recv(100).startswith(b"HTTP/1.1 100 ")
        assert raw(port, head).startswith(b"HTTP/1.1 503 ")
        for _ in range(MAX_CONNECTIONS - BODIES_AT_ONCE):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        answer = raw(port, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in answer


def test_a_unix_socket_is_served_without_a_host_check(package: Package, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        with serving(package, listening=listening), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path)
            client.sendall(b"GET /v2 HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_a_chunked_body_is_taken_whatever_its_pieces(port: int) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    body = png(frame)
    whole = ask(port, "POST", "/predict", body, IMAGE)[1]
    for size in (1000, 70_000):
        pieces = (body[begin : begin + size] for begin in range(0, len(body), size))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("POST", "/predict", pieces, IMAGE, encode_chunked=True)
            answer = json.loads(connection.getresponse().read())
            assert answer["scores"] == whole["scores"]
            connection.request("GET", "/v2/health/live")
            assert connection.getresponse().status == 200


def test_a_chunked_body_beyond_the_bound_is_refused(package: Package) -> None:
    with serving(package, max_body_bytes=10_000) as port:
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert raw(port, head + b"1000\r\n" + bytes(4096) + b"\r\n2000\r\n").startswith(b"HTTP/1.1 413 ")


def test_a_byte_now_and_then_keeps_no_connection(package: Package) -> None:
    with serving(package, patience=Patience(head_s=0.3, sweep_s=0.05, linger_s=0.1)) as port:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.setblocking(False)
            begun = time.monotonic()
            answer = b""
            for byte in b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(bytes([byte]))
                if select.select([connection], [], [], 0.02)[0]:
                    answer = connection.recv(1000)
                    break
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - begun < 3
        assert ask(port, "GET", "/v2")[0] == 200


def send_for_ever(connection: socket.socket, data: bytes) -> None:
    while True:
        connection.sendall(data)


def test_answers_that_are_not_read_end_the_connection(package: Package) -> None:
    with serving(package, patience=Patience(unread_s=0.2, sweep_s=0.05)) as port:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(5)
            connection.connect(("127.0.0.1", port))
            with pytest.raises(ConnectionError):
                send_for_ever(connection, b"GET /v2/models/digits HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        assert ask(port, "GET", "/v2")[0] == 200
