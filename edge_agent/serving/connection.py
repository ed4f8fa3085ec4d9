"""One HTTP connection: bytes in, requests to the service one at a time, answers out in the same order.

Small requests are read in place from one buffer; a larger body is received straight into a buffer of
its own length, so that a frame is not copied. For a client that sends as large a body again the first
buffer grows, so that one call receives it whole. Nothing grows without a bound: while an answer is being
made, or the client does not read those it has, nothing more is read.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from edge_agent.serving.chunked_body import ChunkedBody
from edge_agent.serving.door import Door
from edge_agent.serving.http_messages import MAX_HEAD_BYTES, Head, HttpError, Response, error_response, parse_head, render
from edge_agent.serving.receive_buffer import BUFFER_BYTES, ReceiveBuffer

log = logging.getLogger(__name__)

Body = bytes | bytearray | memoryview
Handler = Callable[[Head, Body], Response | Awaitable[Response]]

_EMPTY = b"\r\n"
_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.BufferedProtocol):
    """See the module."""

    def __init__(self, handler: Handler, door: Door) -> None:
        self._handler = handler
        self._door = door
        self._buffer = ReceiveBuffer()
        self._known: tuple[bytes, Head | None] = (b"", None)  # the last request's head with its end
        self._head: Head | None = None
        self._body: bytearray | memoryview | None = None
        self._body_view = memoryview(b"")
        self._received = 0
        self._chunks: ChunkedBody | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._begun_s = self.last_activity_s = time.monotonic()
        self._blocked_s: float | None = None
        self._scheduled = self._eof = False
        self._closed = False
        self.draining = False
        self.lingering = False
        door.coming(self)

    # How it stands

    @property
    def idle(self) -> bool:
        """Whether no request is under way, not even a part of one."""
        return self._task is None and self._head is None and not self._buffer.filled

    @property
    def body_bytes(self) -> int:
        """Memory of the body that is being received, where it has memory of its own."""
        if self._chunks is not None:
            return self._chunks.reserved_bytes
        return len(self._body) if isinstance(self._body, bytearray) else 0

    @property
    def kept_bytes(self) -> int:
        """Memory by which the buffer grew."""
        return len(self._buffer.data) - BUFFER_BYTES

    @property
    def answering(self) -> bool:
        """Whether a whole request was received and its answer is being made."""
        return self._task is not None

    @property
    def receiving_since_s(self) -> float | None:
        """When the first byte of the request that is being received came; None while there is none."""
        return None if self.idle or self.answering or self.lingering else self._begun_s

    @property
    def received_body_bytes(self) -> int | None:
        """How much of a body is there; None while there is not even the whole head."""
        if self._chunks is not None:
            return len(self._chunks.body)
        return None if self._body is None else self._received

    @property
    def blocked_since_s(self) -> float | None:
        """Since when the client has not read its answers; None while it does."""
        return self._blocked_s

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there (with TLS: after the handshake)."""
        self._transport = transport  # type: ignore[assignment]
        self._door.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is gone; an answer under way is given up."""
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self._door.closed(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Where the next bytes go."""
        if self._body is not None:
            return self._body_view[self._received :]
        return self._buffer.free()

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were put there."""
        if self.lingering or self._closed:
            return
        self.last_activity_s = time.monotonic()
        if self._body is not None:
            self._received += nbytes
            if self._received == len(self._body):
                self._end_body(self._body)
            return
        buffer = self._buffer
        if not buffer.filled and self._chunks is None:
            self._begun_s = self.last_activity_s
        buffer.filled += nbytes
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more; an answer under way is still written, where the transport can do that."""
        self._eof = True
        unfinished = self._task is not None or self._scheduled
        return unfinished and self._transport is not None and self._transport.can_write_eof()

    def pause_writing(self) -> None:
        """The client does not read: take no more requests of it."""
        self._blocked_s = time.monotonic()
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._blocked_s = None
        self._go_on_soon()

    # Ends

    def close(self) -> None:
        """Close after what was written."""
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now, and forget what was not sent."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, error: HttpError) -> None:
        """Answer with an error and close, once the client has read it.

        What the client still sends is thrown away: closing at once would reset the connection, and
        the answer could be lost. The sweep ends this.
        """
        transport = self._transport
        if transport is None or self.lingering:
            return
        self._forget_request()
        self._buffer.filled = 0
        self._door.answered(error.state)
        transport.write(render(error_response(error), keep_alive=False))
        self.last_activity_s = time.monotonic()
        self.lingering = True
        transport.resume_reading()
        if transport.can_write_eof():
            transport.write_eof()

    def _forget_request(self) -> None:
        self._head = self._body = self._chunks = None
        self._body_view = memoryview(b"")

    # Requests

    def _advance(self) -> None:
        """Handle what is in the buffer up to the end of one request, unless one is under way."""
        filled = self._buffer.filled
        if not filled or self._task is not None or self._body is not None or self._blocked_s is not None:
            return
        if filled == len(_EMPTY) and self._chunks is None and self._buffer.data.startswith(_EMPTY):  # what some send behind a body
            self._buffer.shift(filled)
            return
        try:
            if self._chunks is not None:
                self._take_chunks(self._chunks)
            elif not self._take_head(filled) and filled >= MAX_HEAD_BYTES:
                self.refuse(HttpError(431, f"the request's head is longer than {MAX_HEAD_BYTES} bytes", close=True))
        except HttpError as error:
            self.refuse(error)

    def _take_head(self, filled: int) -> bool:
        """Begin with the request in the buffer; False where its head is not whole yet."""
        data = self._buffer.data
        known, head = self._known
        if head is not None and data.startswith(known, 0, filled):
            if len(known) + head.content_length > len(data):
                self._grow(len(known) + head.content_length)
            self._take_request(head, len(known))
            return True
        end = data.find(_END, 0, min(filled, MAX_HEAD_BYTES))
        if end < 0:
            return False
        begin = end + len(_END)
        head = parse_head(bytes(self._buffer.view[:end]))
        self._known = bytes(self._buffer.view[:begin]), head
        self._take_request(head, begin)
        return True

    def _grow(self, size_bytes: int) -> None:
        """For a client that sends the same again: room for all of it."""
        if self._door.may_keep(size_bytes):
            self._buffer.grow(size_bytes)

    def _is_over(self) -> bool:
        return self.lingering or self._transport is None or self._transport.is_closing()

    def _take_request(self, head: Head, begin: int) -> None:
        """Of a request whose body begins at `begin` of the buffer."""
        self._door.check(head)
        if head.chunked:
            self._begin_chunks(head, begin)
            return
        buffer, end = self._buffer, begin + head.content_length
        if buffer.filled >= end:
            self._dispatch(head, buffer.take(begin, end))
            return
        there = buffer.filled - begin
        if end <= len(buffer.data):
            self._body = buffer.in_place(begin, end)
            self._body_view = self._body
        else:
            self._door.admit(0, head.content_length)
            self._body = bytearray(head.content_length)
            self._body_view = memoryview(self._body)
            self._body_view[:there] = buffer.view[begin : begin + there]
        self._head, self._received = head, there
        buffer.filled = 0
        self._say_continue(head)

    def _begin_chunks(self, head: Head, begin: int) -> None:
        self._head, self._chunks = head, ChunkedBody(self._door.max_body_bytes, self._door.admit)
        self._buffer.shift(begin)
        if self._buffer.filled:
            self._take_chunks(self._chunks)
        else:
            self._say_continue(head)

    def _take_chunks(self, chunks: ChunkedBody) -> None:
        buffer = self._buffer
        buffer.shift(chunks.feed(buffer.view[: buffer.filled]))
        if chunks.done:
            self._end_body(chunks.body)

    def _end_body(self, body: bytearray | memoryview) -> None:
        head = self._head
        self._forget_request()
        if head is not None:
            self._dispatch(head, body)

    def _say_continue(self, head: Head) -> None:
        if head.expects_continue and self._transport is not None:
            self._transport.write(_CONTINUE)

    # Answers

    def _dispatch(self, head: Head, body: Body) -> None:
        """Hand a whole request to the service."""
        try:
            answer = self._handler(head, body)
        except HttpError as error:
            self._answer(head, error_response(error), close=error.close)
        except Exception:  # noqa: BLE001  (logged)
            self._answer(head, self._unexpected(), close=True)
        else:
            if not isinstance(answer, Response):
                self._answer_in_turn(head, answer)
                return
            self._answer(head, answer)
        if self._buffer.filled:
            self._go_on_soon()

    def _answer_in_turn(self, head: Head, answer: Awaitable[Response]) -> None:
        if self._transport is not None:
            self._transport.pause_reading()
        self._task = self._loop.create_task(self._answer_later(head, answer), name="request")

    async def _answer_later(self, head: Head, answer: Awaitable[Response]) -> None:
        close = False
        try:
            response = await answer
        except HttpError as error:
            response, close = error_response(error), error.close
        except Exception:  # noqa: BLE001  (logged)
            response, close = self._unexpected(), True
        self._task = None
        self._answer(head, response, close=close)
        self._go_on_soon()

    def _unexpected(self) -> Response:
        log.exception("a request failed")  # noqa: LOG004  (called by handlers only)
        return error_response(HttpError(500, "an error of the agent; its log says more"))

    def _go_on_soon(self) -> None:
        """Look at what is in the buffer after others had their turn; until then nothing more is read."""
        if not self._scheduled and not self._is_over() and self._transport is not None:
            self._scheduled = True
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._scheduled = False
        if self._task is not None or self._blocked_s is not None or self._is_over() or self._transport is None:
            return
        if self._head is None:
            self._begun_s = time.monotonic()
        self._advance()
        if self._task is None and not self._scheduled and self._blocked_s is None and not self._is_over():
            self._transport.resume_reading()
            if self._eof:
                self.close()

    def _answer(self, head: Head, response: Response, *, close: bool = False) -> None:
        keep_alive = head.keep_alive and not close and not self.draining and (not self._eof or bool(self._buffer.filled))
        there = self._transport is not None
        if self._transport is not None:
            self._transport.write(render(response, keep_alive=keep_alive, with_body=head.method != "HEAD"))
        self._door.answered(response.state)  # the client has its answer while this is counted
        self.last_activity_s = time.monotonic()
        if there and not keep_alive:
            self._buffer.filled = 0
            self.close()
