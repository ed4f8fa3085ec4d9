"""One HTTP connection: bytes in, requests to the service one at a time, answers out.

Small requests are handled from one fixed buffer; a larger body is received straight into a buffer of
its own length, so that a frame is not copied.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge_agent.serving.http_messages import MAX_HEAD_BYTES, Head, HttpError, Response, error_response, parse_head, render

log = logging.getLogger(__name__)

Body = bytes | bytearray
Handler = Callable[[Head, Body], Response | Awaitable[Response]]

_BUFFER_BYTES = 64 * 1024
_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.BufferedProtocol):
    """See the module. `check` looks at a request's head before its body is received."""

    def __init__(self, handler: Handler, check: Callable[[Head], None], on_close: Callable[["Connection"], None]) -> None:
        self._handler = handler
        self._check = check
        self._on_close = on_close
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._head: Head | None = None
        self._body: bytearray | None = None
        self._body_view = memoryview(b"")
        self._received = 0
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.last_activity_s = self._loop.time()
        self._eof = False
        self.draining = False
        self.lingering = False

    @property
    def idle(self) -> bool:
        """Whether no request is under way, not even a part of one."""
        return self._task is None and self._head is None and not self._filled

    @property
    def body_bytes(self) -> int:
        """Size of the body that is being received."""
        return 0 if self._body is None else len(self._body)

    @property
    def answering(self) -> bool:
        """Whether a whole request was received and its answer is being made."""
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called by asyncio."""
        self._transport = None
        if self._task is not None:
            self._task.cancel()
        self._on_close(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Called by asyncio: where the next bytes go."""
        if self._body is not None:
            return self._body_view[self._received :]
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio: `nbytes` were put there."""
        if self.lingering:
            return
        self.last_activity_s = self._loop.time()
        if self._body is not None:
            self._received += nbytes
            if self._received == len(self._body):
                head, body, self._head, self._body, self._body_view = self._head, self._body, None, None, memoryview(b"")
                if head is not None:
                    self._dispatch(head, body)
                    self._advance()
            return
        self._filled += nbytes
        self._advance()

    def eof_received(self) -> bool:
        """Called by asyncio: the client sends no more; an answer under way is still written."""
        self._eof = True
        return self._task is not None

    def close(self) -> None:
        """Close after what was written."""
        if self._transport is not None:
            self._transport.close()

    def refuse(self, error: HttpError) -> None:
        """Answer with an error and close, once the client has read it.

        What the client still sends is thrown away: closing at once would reset the connection, and
        the answer could be lost. The sweep ends this.
        """
        transport = self._transport
        if transport is None or self.lingering:
            return
        self._body = self._head = None
        self._filled = 0
        transport.write(render(error_response(error), keep_alive=False))
        self.lingering = True
        if transport.can_write_eof():
            transport.write_eof()

    def _advance(self) -> None:
        """Handle every whole request in the buffer, as long as none is under way."""
        try:
            while self._task is None and self._body is None and self._filled and not self._is_over():
                end = self._buffer.find(_END, 0, min(self._filled, MAX_HEAD_BYTES))
                if end < 0:
                    self._check_head_length()
                    return
                self._take_request(end)
        except HttpError as error:
            self.refuse(error)

    def _is_over(self) -> bool:
        return self.lingering or self._transport is None or self._transport.is_closing()

    def _check_head_length(self) -> None:
        if self._filled >= MAX_HEAD_BYTES:
            raise HttpError(431, f"the request's head is longer than {MAX_HEAD_BYTES} bytes", close=True)

    def _take_request(self, end: int) -> None:
        head = parse_head(bytes(self._view[:end]))
        self._check(head)
        begin = end + len(_END)
        there = min(self._filled - begin, head.content_length)
        if there == head.content_length:
            body = bytes(self._view[begin : begin + there])
            self._shift(begin + there)
            self._dispatch(head, body)
            return
        self._head, self._body, self._received = head, bytearray(head.content_length), there
        self._body_view = memoryview(self._body)
        self._body_view[:there] = self._view[begin : begin + there]
        self._filled = 0
        if head.expects_continue and self._transport is not None:
            self._transport.write(_CONTINUE)

    def _shift(self, used: int) -> None:
        rest = self._filled - used
        if rest:
            self._view[:rest] = bytes(self._view[used : self._filled])
        self._filled = rest

    def _dispatch(self, head: Head, body: Body) -> None:
        try:
            answer = self._handler(head, body)
        except HttpError as error:
            self._answer(head, error_response(error), close=error.close)
            return
        if isinstance(answer, Response):
            self._answer(head, answer)
            return
        if self._transport is not None:
            self._transport.pause_reading()
        self._task = self._loop.create_task(self._answer_later(head, answer), name="request")

    async def _answer_later(self, head: Head, answer: Awaitable[Response]) -> None:
        close = False
        try:
            response = await answer
        except HttpError as error:
            response, close = error_response(error), error.close
        except Exception:
            log.exception("a request failed")
            response, close = error_response(HttpError(500, "an error of the agent; its log says more")), True
        self._task = None
        self._answer(head, response, close=close)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._advance()

    def _answer(self, head: Head, response: Response, *, close: bool = False) -> None:
        keep_alive = head.keep_alive and not close and not self.draining and not self._eof
        self._write(response, keep_alive=keep_alive, with_body=head.method != "HEAD")

    def _write(self, response: Response, *, keep_alive: bool, with_body: bool = True) -> None:
        self.last_activity_s = self._loop.time()
        if self._transport is None:
            return
        self._transport.write(render(response, keep_alive=keep_alive, with_body=with_body))
        if not keep_alive:
            self._filled = 0
            self._transport.close()
