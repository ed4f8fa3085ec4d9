"""A real HTTP server on loopback that answers as a test tells it and keeps what it got."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Received(NamedTuple):
    """One POST."""

    headers: dict[str, str]
    body: dict[str, Any]


class Receiver(NamedTuple):
    """Where it listens and what came."""

    url: str
    received: list[Received]


@contextmanager
def receiving(answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _: (204, {})) -> Iterator[Receiver]:
    """Answer the n-th POST (from 0) with a state and headers."""
    received: list[Received] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state, headers = answer(len(received))
            received.append(Received(dict(self.headers), json.loads(body)))
            self.send_response(state)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
        thread.start()
        try:
            yield Receiver(f"http://127.0.0.1:{server.server_port}/hook", received)
        finally:
            server.shutdown()
            thread.join(5)
