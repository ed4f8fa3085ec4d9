"""A body in chunks (RFC 9112, section 7.1), collected piece by piece within a bound; read strictly, as heads are."""

import re
from collections.abc import Callable

from edge_agent.serving.http_messages import HttpError, is_header_line

MAX_SIZE_LINE_BYTES = 256
MAX_TRAILER_BYTES = 4096
SPARE_FRAMING_BYTES = 64 * 1024
"""Size lines may take as many bytes as the body itself and this: a body in single bytes is work without end."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?").fullmatch
_NEWLINE = b"\r\n"


class ChunkedBody:
    """`feed` it what comes until it is `done`; `body` then holds the whole."""

    def __init__(self, limit_bytes: int, admit: Callable[[int, int], None]) -> None:
        """`admit(held, wanted)` is asked before memory is taken, and raises `HttpError` to refuse."""
        self.body = bytearray()
        self.done = False
        self.reserved_bytes = 0
        self._limit = limit_bytes
        self._admit = admit
        self._left = 0
        self._framing = 0
        self._trailer = 0
        self._read_line: Callable[[bytes], None] = self._read_size

    def feed(self, data: memoryview) -> int:
        """Take what can be taken and return how many bytes that were; the rest is to come again, with more behind it.

        Raises:
            HttpError: the chunks are broken or too large; always with `close`.
        """
        position = 0
        while not self.done and position < len(data):
            used = self._take_data(data[position:]) if self._left else self._take_line(data[position:])
            if not used:
                break
            position += used
        return position

    def _take_data(self, data: memoryview) -> int:
        piece = data[: self._left]
        self.body += piece
        self._left -= len(piece)
        if not self._left:
            self._read_line = self._read_end
        return len(piece)

    def _take_line(self, data: memoryview) -> int:
        longest = MAX_TRAILER_BYTES if self._read_line == self._read_trailer else MAX_SIZE_LINE_BYTES
        line, newline, _ = bytes(data[: longest + 2]).partition(_NEWLINE)
        if not newline:
            if len(line) > longest:
                raise HttpError(400, f"a line between chunks is longer than {longest} bytes", close=True)
            return 0
        self._framing += len(line) + 2
        if self._framing > len(self.body) + SPARE_FRAMING_BYTES:
            raise HttpError(400, "the chunks are too small for the work they make", close=True)
        self._read_line(line)
        return len(line) + 2

    def _read_size(self, line: bytes) -> None:
        found = _SIZE_LINE(line)
        if found is None:
            raise HttpError(400, f"the size of a chunk is broken: {line[:30]!r}", close=True)
        self._left = int(found[1], 16)
        if not self._left:
            self._read_line = self._read_trailer
            return
        wanted = len(self.body) + self._left
        if wanted > self._limit:
            raise HttpError(413, f"the body has more than {self._limit} bytes", close=True)
        if wanted > self.reserved_bytes:
            wanted = min(self._limit, max(wanted, 2 * self.reserved_bytes))
            self._admit(self.reserved_bytes, wanted)
            self.reserved_bytes = wanted

    def _read_end(self, line: bytes) -> None:
        if line:
            raise HttpError(400, "a chunk is longer than its size says", close=True)
        self._read_line = self._read_size

    def _read_trailer(self, line: bytes) -> None:
        """Trailing headers are checked and thrown away."""
        self._trailer += len(line) + 2
        if not line:
            self.done = True
        elif not is_header_line(line):
            raise HttpError(400, f"a trailing header is broken: {line[:60]!r}", close=True)
        elif self._trailer > MAX_TRAILER_BYTES:
            raise HttpError(431, f"the trailing headers are longer than {MAX_TRAILER_BYTES} bytes", close=True)
