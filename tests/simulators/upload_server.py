"""Where a device sends its field samples: a real HTTP server in this process that counts, refuses, breaks off, and forgets nothing."""

import http.server
import threading
from typing import Any

from contract.codec import encode
from contract.errors import ContractError
from contract.rest import ErrorBody
from contract.samples import SentSample, UploadState, split_sample

BREAK_OFF = 0
"""In place of a status: the connection ends without an answer, after the sample was stored."""


class UploadServer:
    """Use as a context manager; `faults` are answered to the next PUTs in place of the truth."""

    def __init__(self, *, most: int = 100) -> None:
        self.most = most
        self.samples: dict[str, SentSample] = {}
        self.faults: list[int] = []
        self.refused_suffix = ""
        self.puts = 0
        outer = self

        class Handler(_Handler):
            server_state = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "UploadServer":  # noqa: PYI034  (Python 3.10 has no Self)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def state(self, command: str) -> UploadState:
        size = sum(len(sample.data) for sample in self.samples.values())
        return UploadState(command, len(self.samples), size, self.most - len(self.samples), 1 << 30)


class _Handler(http.server.BaseHTTPRequestHandler):
    server_state: UploadServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._answer(200, self.server_state.state(self.path.split("/")[3]))

    def do_PUT(self) -> None:
        state, command, sha256 = self.server_state, *self.path.split("/")[3:5]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state.puts += 1
        fault = state.faults.pop(0) if state.faults else None
        if fault:
            self._answer(fault, ErrorBody(f"fault {fault}"))
            return
        try:
            sample = split_sample(body, sha256)
        except ContractError as error:
            self._answer(422, ErrorBody(str(error)))
            return
        if state.refused_suffix and sample.suffix == state.refused_suffix:
            self._answer(422, ErrorBody("not of this kind"))
            return
        state.samples[sha256] = sample
        if fault == BREAK_OFF:
            self.close_connection = True
            return
        self._answer(200, state.state(command))

    def _answer(self, status: int, body: Any) -> None:
        content = encode(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
