"""Requests and responses of HTTP/1.1, parsed strictly: what RFC 9112 leaves to taste is refused.

Only what the endpoint needs is spoken: bodies by `Content-Length` or in chunks, keep-alive, `Expect: 100-continue`.
"""

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

MAX_HEAD_BYTES = 16 * 1024
MAX_TARGET_BYTES = 2048
MAX_HEADERS = 64

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_TARGET = re.compile(rb"/[!-~]*").fullmatch
_ABSOLUTE_TARGET = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://(?P<authority>[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]+)(?P<rest>[/?][!-~]*)?").fullmatch
_VALUE = re.compile(rb"[\t -~\x80-\xff]*").fullmatch
_LENGTH = re.compile(r"[0-9]{1,18}").fullmatch
_ONCE = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "inference-header-content-length",
        "origin",
        "timeout",
        "transfer-encoding",
    }
)

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


# HTTP/1.0 must be told that the connection is kept; HTTP/1.1 may be told, so both get the same bytes.
_KEEP, _CLOSE = b"Connection: keep-alive\r\n\r\n", b"Connection: close\r\n\r\n"


class HttpError(Exception):
    """A request that gets an error for an answer; `close` where what follows on the connection can not be trusted."""

    def __init__(self, state: int, text: str, *, close: bool = False, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """`state` is the HTTP code, `text` goes into the body."""
        super().__init__(text)
        self.state = state
        self.close = close
        self.headers = headers


class Head(NamedTuple):
    """A request without its body. Header names are lower case; `host` is what the target names, where it names one."""

    method: str
    path: str
    headers: Mapping[str, str]
    content_length: int
    keep_alive: bool
    expects_continue: bool
    chunked: bool = False


class Response(NamedTuple):
    """An answer. `begin` is what `render_begin` gives for it, where that was kept from an answer that was alike."""

    state: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    begin: bytes = b""


@functools.lru_cache(maxsize=64)
def parse_head(data: bytes) -> Head:
    """Parse everything before the empty line of a request; a client that repeats itself is parsed once.

    One empty line before it is ignored, as some clients send it behind a body.

    Raises:
        HttpError: it is not what RFC 9112 says, or uses what is not spoken here; always with `close`.
    """
    lines = data.removeprefix(b"\r\n").split(b"\r\n")
    method, target, minor = _parse_request_line(lines[0])
    if len(lines) - 1 > MAX_HEADERS:
        raise HttpError(431, f"more than {MAX_HEADERS} header lines", close=True)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if not is_header_line(line):
            raise HttpError(400, f"a header line is broken: {line[:60]!r}", close=True)
        key = name.decode("ascii").lower()
        if key in headers and key in _ONCE:
            raise HttpError(400, f"the header {key} comes twice", close=True)
        headers[key] = value.decode("latin-1").strip(" \t")
    if minor and "host" not in headers:
        raise HttpError(400, "the header Host is missing", close=True)
    path, authority = _parse_target(target)
    if authority:
        headers["host"] = authority
    wishes = [wish.strip() for wish in headers.get("connection", "").lower().split(",")]
    keep_alive = "close" not in wishes if minor else "keep-alive" in wishes
    chunked = _is_chunked(headers, minor)
    return Head(method, path, MappingProxyType(headers), _content_length(headers), keep_alive, _expects_continue(headers), chunked)


def is_header_line(line: bytes) -> bool:
    """Whether this is `name: value` as RFC 9112 wants it."""
    name, separator, value = line.partition(b":")
    return bool(separator and _TOKEN(name) and _VALUE(value))


def _is_chunked(headers: dict[str, str], minor: int) -> bool:
    """Whether the body comes in chunks; what two programs could read in two ways is refused (request smuggling)."""
    coding = headers.get("transfer-encoding")
    if coding is None:
        return False
    if "content-length" in headers:
        raise HttpError(400, "a body has either Content-Length or Transfer-Encoding, not both", close=True)
    if not minor:
        raise HttpError(400, "HTTP/1.0 knows no Transfer-Encoding", close=True)
    if coding.lower() != "chunked":
        raise HttpError(501, f"the transfer encoding {coding[:30]!r} is not known; chunked is", close=True)
    return True


def _parse_request_line(line: bytes) -> tuple[str, bytes, int]:
    """The method, the target and the minor version."""
    parts = line.split(b" ")
    if len(parts) != 3 or not _TOKEN(parts[0]):  # noqa: PLR2004  (method, target, version)
        raise HttpError(400, f"the request line is broken: {line[:60]!r}", close=True)
    if parts[2] not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise HttpError(505, f"HTTP/1.1 is spoken here, got {parts[2][:20]!r}", close=True)
    if len(parts[1]) > MAX_TARGET_BYTES:
        raise HttpError(414, f"the path is longer than {MAX_TARGET_BYTES} bytes", close=True)
    return parts[0].decode("ascii"), parts[1], int(parts[2] == b"HTTP/1.1")


def _parse_target(target: bytes) -> tuple[str, str]:
    """The path without its query, and the authority where a client sends a whole URL as to a proxy (RFC 9112, 3.2.2)."""
    authority = b""
    if absolute := _ABSOLUTE_TARGET(target):
        authority, target = absolute["authority"], absolute["rest"] or b"/"
    path = target.partition(b"?")[0] or b"/"
    if not _TARGET(target) and not authority:
        raise HttpError(400, f"the path must begin with /, got {target[:60]!r}", close=True)
    return path.decode("ascii"), authority.decode("ascii")


def _content_length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "0")
    if not _LENGTH(text):
        raise HttpError(400, f"Content-Length is no number: {text[:30]!r}", close=True)
    return int(text)


def _expects_continue(headers: dict[str, str]) -> bool:
    expect = headers.get("expect")
    if expect is not None and expect.lower() != "100-continue":
        raise HttpError(417, f"the expectation {expect[:30]!r} is not known", close=True)
    return expect is not None


def render(response: Response, *, keep_alive: bool, with_body: bool = True) -> bytes:
    """The response as bytes; without its body for HEAD."""
    begin = response.begin or render_begin(response)
    return b"".join((begin, _KEEP if keep_alive else _CLOSE, response.body if with_body else b""))


def render_begin(response: Response) -> bytes:
    """The head of an answer but for its last lines, which say whether the connection is kept."""
    extra = b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in response.headers)
    return b"%b%d\r\n%b" % (_begin_of_answer(response.state, response.content_type), len(response.body), extra)


@functools.lru_cache(maxsize=64)
def _begin_of_answer(state: int, content_type: str) -> bytes:
    return f"HTTP/1.1 {state} {REASONS[state]}\r\nContent-Type: {content_type}\r\nContent-Length: ".encode("latin-1")


def json_response(content: object, state: int = 200) -> Response:
    """An answer in JSON."""
    return Response(state, msgspec.json.encode(content))


def error_response(error: HttpError) -> Response:
    """The error as the protocol wants it: `{"error": "…"}`."""
    return Response(error.state, msgspec.json.encode({"error": str(error)}), headers=error.headers)
