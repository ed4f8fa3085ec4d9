"""A real HTTP server on loopback that answers as a test tells it and keeps what it got."""

import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.simulators.certificates import Certificate


class Received(NamedTuple):
    """One POST."""

    headers: dict[str, str]
    body: dict[str, Any]


class Receiver(NamedTuple):
    """Where it listens and what came."""

    url: str
    received: list[Received]


@contextmanager
def receiving(
    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _: (204, {}), certificate: Certificate | None = None
) -> Iterator[Receiver]:
    """Answer the n-th POST (from 0) with a state and headers; over TLS with a certificate."""
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
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
        thread.start()
        try:
            yield Receiver(f"{scheme}://127.0.0.1:{server.server_port}/hook", received)
        finally:
            server.shutdown()
            thread.join(5)
