from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.serving.chunked_body import ChunkedBody
from edge_agent.serving.http_messages import MAX_HEAD_BYTES, HttpError, parse_head

TOKENS = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[!-~]([ -~]{0,20}[!-~])?", fullmatch=True)
OWN_MEANING = {"connection", "content-length", "expect", "host", "transfer-encoding"}
PIECES = [
    b"GET ", b"POST ", b"/v2", b"/predict", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"Host: localhost",
    b"Content-Length: 3", b"content-length:3", b"Transfer-Encoding: chunked", b"Connection: close", b"Expect: 100-continue", b"\0", b"\xff",
    b"http://localhost", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b"ffffffffffffffff", b";", b"{}", b"%2e%2e",
]  # fmt: skip
SCRAPS = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)), max_size=20).map(b"".join)

T = TypeVar("T")


def attempt(work: Callable[[], T]) -> tuple[T | None, HttpError | None]:
    """What it gives, or how it is refused."""
    try:
        return work(), None
    except HttpError as error:
        return None, error


@given(TOKENS, st.dictionaries(TOKENS, VALUES, max_size=8))
def test_a_head_is_read_as_it_was_written(method: str, headers: dict[str, str]) -> None:
    wanted = {name.lower(): value for name, value in headers.items() if name.lower() not in OWN_MEANING}
    lines = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
    head = parse_head(f"{method} /v2?x=1 HTTP/1.1\r\nHost: localhost\r\n{lines}".encode().removesuffix(b"\r\n"))
    assert (head.method, head.path, head.keep_alive, head.content_length) == (method, "/v2", True, 0)
    assert dict(head.headers) == {"host": "localhost", **wanted}


@given(st.from_regex(r"[A-Za-z0-9.:\[\]-]{1,20}", fullmatch=True), st.from_regex(r"(/[!-~]{0,20})?", fullmatch=True))
def test_a_whole_url_is_read_as_its_path_for_its_host(authority: str, path: str) -> None:
    whole = parse_head(f"GET http://{authority}{path} HTTP/1.1\r\nHost: other".encode())
    own = parse_head(f"GET {path or '/'} HTTP/1.1\r\nHost: {authority}".encode())
    assert whole == own


@given(SCRAPS)
def test_any_bytes_are_a_head_or_refused_with_the_connection_closed(data: bytes) -> None:
    head, error = attempt(lambda: parse_head(data))
    if error is not None:
        assert error.close
    elif head is not None:
        assert not (head.chunked and "content-length" in head.headers)
        assert all("\r" not in value and "\n" not in value and "\0" not in value for value in head.headers.values())


@pytest.mark.parametrize(
    ("wish", "minor", "kept"),
    [("", 1, True), ("close", 1, False), ("Keep-Alive, Close", 1, False), ("disclose", 1, True), ("", 0, False), ("keep-alive", 0, True)],
)
def test_the_connection_is_kept_as_the_client_wishes(wish: str, minor: int, kept: bool) -> None:
    line = f"\r\nConnection: {wish}" if wish else ""
    assert parse_head(f"GET /v2 HTTP/1.{minor}\r\nHost: localhost{line}".encode()).keep_alive is kept


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def collect(data: bytes, cuts: list[int], limit: int = 10_000) -> tuple[ChunkedBody, bytes]:
    """Feed `data` cut at places; gives the body and what was left over."""
    body = ChunkedBody(limit, lambda _held, _wanted: None)
    waiting = b""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    for begin, end in zip([0, *places], places, strict=False):
        waiting += data[begin:end]
        waiting = waiting[body.feed(memoryview(waiting)) :]
    return body, waiting


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(0, 1000), max_size=8), st.binary(max_size=5))
def test_chunks_make_the_same_body_wherever_they_are_cut(chunks: list[bytes], cuts: list[int], rest: bytes) -> None:
    data = b"".join(map(chunk, chunks)) + b"0;last\r\nX-Sum: 1\r\n\r\n" + rest
    body, left = collect(data, cuts)
    assert (body.done, bytes(body.body), left) == (True, b"".join(chunks), rest)


@given(SCRAPS, st.lists(st.integers(0, 200), max_size=5))
def test_chunks_of_any_kind_are_a_body_within_the_bound_or_refused(data: bytes, cuts: list[int]) -> None:
    collected, error = attempt(lambda: collect(b"3\r\nabc\r\n" + data, cuts, limit=50))
    if error is not None:
        assert error.close
    elif collected is not None:
        assert len(collected[0].body) <= 50


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"3\r\nabcd\r\n", 400),
        (b"\r\n", 400),
        (b" 3\r\nabc\r\n", 400),
        (b"3 \r\nabc\r\n", 400),
        (b"0x3\r\nabc\r\n", 400),
        (b"1_0\r\n", 400),
        (b"+3\r\nabc\r\n", 400),
        (b"3;a=\nb\r\nabc\r\n", 400),
        (b"0\r\nno header\r\n\r\n", 400),
        (b"0\r\n" + b"X: y\r\n" * 2000, 431),
        (b"2711\r\n", 413),
        (chunk(b"a" * 9000) + chunk(b"b" * 1001), 413),
        (chunk(b"a") * 60_000, 413),
        (b"1;" + b"e" * 250 + b"\r\na\r\n" + (b"1;" + b"e" * 250 + b"\r\na\r\n") * 300, 400),
    ],
)
def test_broken_and_wasteful_chunks_are_refused(data: bytes, state: int) -> None:
    with pytest.raises(HttpError) as caught:
        collect(data, [])
    assert caught.value.state == state


def test_memory_for_chunks_is_asked_for_in_growing_steps() -> None:
    asked: list[tuple[int, int]] = []
    body = ChunkedBody(100_000, lambda held, wanted: asked.append((held, wanted)))
    for _ in range(90):
        body.feed(memoryview(chunk(bytes(1000))))
    assert len(body.body) == 90_000
    assert len(asked) < 12
    assert asked[-1] == (64_000, 100_000)
    assert MAX_HEAD_BYTES < 64_000
