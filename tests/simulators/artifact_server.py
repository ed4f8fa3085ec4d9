"""The HTTP half of a fleet server, as small as a test needs it: enrolment, TUF files, artifacts with Range, faults on demand."""

import base64
import http.server
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from contract.blocks import block_list_of
from contract.deltas import Patch, PatchKind, PatchList
from contract.files import sha256_of
from contract.patching import make_patch
from contract.rest import EnrollAnswer, EnrollRequest, ServerInfo
from tests.simulators.tuf_folder import TufFolder


class ArtifactServer:
    """Serves until `close`. `answer_enrolment` decides enrolments; faults are attributes."""

    def __init__(self, folder: Path, tuf: TufFolder, answer_enrolment: Callable[[EnrollRequest], EnrollAnswer | None]) -> None:
        self.artifacts = folder / "artifacts"
        self.artifacts.mkdir()
        self.tuf = tuf
        self.answer_enrolment = answer_enrolment
        self.passwords: dict[str, str] = {}
        self.requests: list[str] = []
        self.cut_after: list[int] = []  # each artifact answer ends after so many bytes, until the list is empty
        self.statuses: list[int] = []  # each artifact request is answered with this status, until the list is empty
        self.wrong_content: set[str] = set()
        self.ignore_range = False
        self.block_bytes = 0  # lists blocks of this length; 0: knows no lists
        self.patches: dict[str, dict[str, tuple[Patch, bytes]]] = {}  # by target, then by the patch's SHA-256 as listed
        self.damage: dict[int, int] = {}  # the byte at this place is wrong in so many answers
        self.etags: list[str] = []  # each artifact answer has this ETag, until the list is empty
        self.endless = False  # artifacts come in chunks, and zeros after them for ever
        self.wrong_length = 0  # so many bytes more than there are, if the headers are to be believed
        self.ranges: list[str] = []  # the `Range` of each answer with an artifact's bytes
        self.info = ServerInfo(name="simulator", version="0", fleet="home", mqtt_url="mqtt://127.0.0.1:1", trust_ready=True)
        self.sent_bytes = 0  # of endless answers
        self.port = 0
        self._server: http.server.ThreadingHTTPServer | None = None
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def offer_patch(self, target: str, base: bytes, kind: PatchKind, new: bytes) -> Patch:
        """Make a patch and list it."""
        data = make_patch(kind, base, new)
        patch = Patch(sha256_of(base) if base else "", kind.value, len(data), sha256_of(data))
        self.list_patch(target, patch, data)
        return patch

    def list_patch(self, target: str, patch: Patch, data: bytes) -> None:
        """List a patch, true or not."""
        self.patches.setdefault(target, {})[patch.sha256] = (patch, data)

    def open(self) -> None:
        """Listen (again, on the same port)."""
        outer = self

        class Handler(_Handler):
            simulator = outer

        self._server = _Server(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Nobody answers any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle of an answer is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    simulator: ArtifactServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.simulator.answer_enrolment(msgspec.json.decode(body, type=EnrollRequest))
        if answer is None:
            self._send(403, b'{"error":"the claim is not valid","advice":"make a new one"}')
        else:
            self._send(200, msgspec.json.encode(answer))

    def do_GET(self) -> None:
        simulator = self.simulator
        simulator.requests.append(self.path)
        if self.path == "/v1/server":
            self._send(200, msgspec.json.encode(simulator.info))
        elif not self._authorized():
            self._send(401, b'{"error":"wrong password"}')
        elif self.path.startswith("/v1/tuf/metadata/"):
            self._send_file(simulator.tuf.metadata / self.path.rpartition("/")[2])
        elif self.path.startswith("/v1/tuf/targets/"):
            self._send_file(simulator.tuf.targets / self.path.removeprefix("/v1/tuf/targets/"))
        elif self.path.startswith("/v1/artifacts/"):
            self._send_artifact(self.path.removeprefix("/v1/artifacts/"))
        else:
            self._send(404, b"{}")

    def _authorized(self) -> bool:
        method, _, value = self.headers.get("Authorization", "").partition(" ")
        device, _, password = base64.b64decode(value or "").decode().partition(":")
        return method == "Basic" and bool(password) and self.simulator.passwords.get(device) == password

    def _send_file(self, path: Path) -> None:
        self._send(200, path.read_bytes()) if path.is_file() else self._send(404, b'{"error":"not here"}')

    def _send_artifact(self, digest: str) -> None:
        simulator = self.simulator
        if simulator.statuses:
            self._send(simulator.statuses.pop(0), b'{"error":"not now"}')
            return
        digest, _, part = digest.partition("/")
        path = simulator.artifacts / digest
        if part:
            self._send_part(path, part)
            return
        if not path.is_file():
            self._send(404, b'{"error":"no such artifact"}')
            return
        data = path.read_bytes()
        if digest in simulator.wrong_content:
            data = bytes(len(data))
        self._send_range(data)

    def _send_part(self, path: Path, part: str) -> None:
        if part == "blocks" and self.simulator.block_bytes and path.is_file():
            self._send(200, msgspec.json.encode(block_list_of(path, self.simulator.block_bytes)))
        elif part == "patches" and path.name in self.simulator.patches:
            patches = self.simulator.patches[path.name].values()
            self._send(200, msgspec.json.encode(PatchList(tuple(patch for patch, _ in patches))))
        elif part.startswith("patches/") and (found := self.simulator.patches.get(path.name, {}).get(part[8:])) is not None:
            self._send_range(found[1])
        else:
            self._send(404, b'{"error":"not here"}')

    def _send_range(self, data: bytes) -> None:
        simulator = self.simulator
        simulator.ranges.append(self.headers.get("Range", ""))
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(wanted[1]) if wanted and not simulator.ignore_range else 0
        etag = simulator.etags.pop(0) if simulator.etags else ""
        if etag and self.headers.get("If-Range", etag) != etag:
            begin = 0
        total = len(data) + simulator.wrong_length
        headers = {"Content-Range": f"bytes {begin}-{total - 1}/{total}"} if begin else {"Content-Length": str(total)}
        headers |= {"ETag": etag} if etag else {}
        data = self._damaged(data, begin)
        if simulator.endless:
            self._send_endlessly(data)
            return
        cut = simulator.cut_after.pop(0) if simulator.cut_after else None
        self._send(206 if begin else 200, data[begin:], headers, cut)

    def _send_endlessly(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.simulator.sent_bytes += len(data)
                data = bytes(1 << 16)
        except OSError:
            return

    def _damaged(self, data: bytes, begin: int) -> bytes:
        damage, changed = self.simulator.damage, bytearray(data)
        for place in [place for place, times in damage.items() if times and begin <= place < len(data)]:
            damage[place] -= 1
            changed[place] ^= 1
        return bytes(changed)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True
