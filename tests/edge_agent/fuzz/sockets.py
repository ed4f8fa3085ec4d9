"""Doors on the network: the endpoint, a broker and a server that somebody took over, metadata and patches that nobody signed."""

import asyncio
import contextlib
import gzip
import io
import json
import shutil
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from contract.codec import encode
from contract.deltas import PatchKind
from contract.files import sha256_of
from contract.manifest import FileEntry
from contract.messages import Ack
from contract.package import Package
from contract.patching import make_patch
from contract.signing import generate_key
from contract.topics import Channel, build_topic
from contract.trust import manifest_target, model_role
from edge_agent.fleet_link import FleetLink, LinkAccount, LinkError
from edge_agent.http_client import HttpError, ServerHttp
from edge_agent.serving.http_messages import REASONS
from edge_agent.update.patch_child import rebuild
from edge_agent.update.rebuilding import RebuildRequest
from edge_agent.update.tuf_child import refresh
from edge_agent.update.tuf_messages import TufRequest
from tests.edge_agent.fuzz.fuzzing import Door, Opened
from tests.edge_agent.serving.serving_thread import serving
from tests.simulators.artifact_server import ArtifactServer
from tests.simulators.packages import make_frames, make_package
from tests.simulators.tables import make_table_package
from tests.simulators.tuf_folder import TufFolder

KEY = generate_key()
PATIENCE_S = 20.0
PASSWORD = "a-password-of-thirty-two-letters"


# The endpoint


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def image_requests() -> list[bytes]:
    """Every kind of body that an image model's endpoint reads."""
    frame = make_frames(1, 0)[0][0]
    files = {}
    for kind in ("PNG", "JPEG", "BMP", "GIF"):
        file = io.BytesIO()
        Image.fromarray(frame).save(file, kind)
        files[kind.lower()] = file.getvalue()
    array = io.BytesIO()
    np.save(array, frame)
    tensor = {"name": "frame", "shape": list(frame.shape), "datatype": "UINT8"}
    plain = json.dumps({"id": "x", "inputs": [{**tensor, "data": frame.ravel().tolist()}]}).encode()
    head = json.dumps(
        {"inputs": [{**tensor, "parameters": {"binary_data_size": frame.nbytes}}], "parameters": {"binary_data_output": True}}
    )
    infer = "/v2/models/digits/infer"
    chunked = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in (plain[:50], plain[50:])) + b"0\r\n\r\n"
    begin = f"POST {infer} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n".encode()
    return [
        *(request("POST", "/predict", data, f"Content-Type: image/{kind}") for kind, data in files.items()),
        request("POST", "/predict", array.getvalue(), "Content-Type: application/x-npy"),
        request("POST", infer, plain, "Content-Type: application/json"),
        request("POST", infer, gzip.compress(plain), "Content-Type: application/json", "Content-Encoding: gzip"),
        request("POST", infer, head.encode() + frame.tobytes(), f"Inference-Header-Content-Length: {len(head)}"),
        begin + chunked,
        *gets(),
        request("GET", "/v2") + request("GET", "/metrics") + request("GET", "/v2/health/ready"),
    ]


def row_requests() -> list[bytes]:
    """Those of a model of rows."""
    columns = [
        {"name": "age", "shape": [1, 1], "datatype": "FP32", "data": [[1]]},
        {"name": "city", "shape": [1], "datatype": "BYTES", "data": ["Köln"]},
    ]
    text = "age,city\n1.0,Köln\n-1,Aachen\n".encode()
    return [
        request("POST", "/predict", b'{"age":1.0,"city":"Aachen"}', "Content-Type: application/json"),
        request("POST", "/predict", text, "Content-Type: text/csv"),
        request("POST", "/v2/models/visitors/infer", json.dumps({"inputs": columns}).encode(), "Content-Type: application/json"),
        *gets("visitors"),
    ]


def gets(model: str = "digits") -> list[bytes]:
    paths = ("/v2", "/v2/health/live", f"/v2/models/{model}", f"/v2/models/{model}/stats", "/v2/repository/index", "/metrics")
    return [request("GET", path, b"", "Connection: close") for path in paths]


def talk(port: int, data: bytes) -> bytes:
    """All that comes back for these bytes, until the other end closes."""
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            answer += piece
    return bytes(answer)


def worst_state(answer: bytes) -> int:
    """The highest code among the answers; 0 where none came. Raises where an answer is none, or says that the endpoint broke."""
    if not answer:
        return 0
    assert answer.startswith(b"HTTP/1.1 "), answer[:80]
    states = [int(line[9:12]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert all(state in REASONS or state == 100 for state in states), states
    assert 500 not in states, answer[:400]
    return max(states)


def _endpoint(
    make: Callable[[Path], Package], seeds: Callable[[], list[bytes]]
) -> Callable[[Path], contextlib.AbstractContextManager[Opened]]:
    @contextlib.contextmanager
    def open_door(folder: Path) -> Iterator[Opened]:
        with serving(make(folder / "model"), queue_length=4) as port:

            def take(data: bytes) -> str:
                state = worst_state(talk(port, data))
                return REASONS[state] if state >= 400 else "" if state else "closed"

            def check() -> None:
                assert worst_state(talk(port, request("GET", "/v2/health/ready", b"", "Connection: close"))) == 200

            yield Opened(seeds(), take, check=check)

    return open_door


# What comes from a broker and from a server


class _Answering(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self.request.settimeout(PATIENCE_S)
            self.request.recv(1 << 16)
            self.request.sendall(self.server.answer)  # type: ignore[attr-defined]
            self.request.shutdown(socket.SHUT_WR)
            while self.request.recv(1 << 16):
                pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextlib.contextmanager
def answering(port: int = 0) -> Iterator[socketserver.ThreadingTCPServer]:
    """A server that says `answer` to whatever it hears first, then hangs up."""
    with _Server(("127.0.0.1", port), _Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def server_answers(_folder: Path) -> Iterator[Opened]:
    """Answers of a fleet server."""
    bodies = (b'{"schema_version":1}', b'{"error":"no","advice":"try"}', gzip.compress(b"x" * 1000))
    seeds = [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: x\r\n\r\n" % len(bodies[0]) + bodies[0],
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(bodies[1]) + bodies[1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bodies[2]) + bodies[2],
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n\r\nhello",
    ]
    with answering() as server:

        def take(data: bytes) -> str:
            server.answer = data  # type: ignore[attr-defined]
            http = ServerHttp(f"http://127.0.0.1:{server.server_address[1]}", credentials=("d1", PASSWORD))
            try:
                http.get("/v1/device/desired", 4096)
            finally:
                http.close()
            return ""

        yield Opened(seeds, take, (HttpError,))


class _Heard:
    """Hears what a link hears."""

    def __init__(self) -> None:
        self.messages: list[tuple[Channel, bytes]] = []

    def link_opened(self, session: int) -> None: ...

    def link_closed(self) -> None: ...

    def next_session(self) -> int:
        return 1

    def message_received(self, channel: Channel, payload: bytes) -> None:
        self.messages.append((channel, payload))


def _publish(channel: Channel, payload: bytes, qos: int = 1) -> bytes:
    topic = build_topic("home", "d1", channel).encode()
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", 7) if qos else b"") + b"\0" + payload
    return bytes([0x30 | qos << 1]) + _remaining(len(body)) + body


def _remaining(length: int) -> bytes:
    found = bytearray()
    while True:
        length, digit = divmod(length, 128)
        found.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(found)


CONNACK, SUBACK = b"\x20\x03\x00\x00\x00", b"\x90\x06\x00\x01\x00\x01\x01\x01"


def broker_seeds() -> list[bytes]:
    """What a broker may say after CONNECT, all at once."""
    desired = _publish(Channel.DESIRED, b'{"payload":"e30="}')
    pieces: Sequence[bytes] = (
        desired,
        _publish(Channel.ACK, encode(Ack(1, "s", 5)), 0),
        _publish(Channel.COMMAND, b"{}", 2),
        b"\xd0\x00",
        b"\x40\x02\x00\x01",
        b"\x40\x03\x00\x01\x10",
        b"\xe0\x02\x8e\x00",
        b"\x62\x02\x00\x07",
        b"\xf0\x02\x18\x00",
    )
    return [CONNACK + SUBACK + piece for piece in pieces] + [b"\x20\x03\x00\x87\x00", CONNACK + SUBACK + b"".join(pieces)]


@contextlib.contextmanager
def broker_packets(_folder: Path) -> Iterator[Opened]:
    """A broker that was taken over, or something else on its port."""
    with answering() as server:
        account = LinkAccount(f"mqtt://127.0.0.1:{server.server_address[1]}", "home", "d1", PASSWORD, "boot")

        async def session() -> None:
            link = FleetLink(account, _Heard())
            await asyncio.wait_for(link._serve_session(1), PATIENCE_S)

        def take(data: bytes) -> str:
            server.answer = data  # type: ignore[attr-defined]
            asyncio.run(session())
            raise AssertionError("a session ends with its reason")

        yield Opened(broker_seeds(), take, (LinkError,))


# Metadata and patches


@contextlib.contextmanager
def tuf_metadata(folder: Path) -> Iterator[Opened]:
    """A repository in other hands, or a client's cache that the disk changed; the first byte says which file."""
    tuf = TufFolder(folder / "tuf")
    server = ArtifactServer(folder, tuf, lambda _: None)
    server.passwords["d1"] = PASSWORD
    tuf.set_target(model_role("digits"), manifest_target("digits", 1), b"{}")
    files = {path: path.read_bytes() for path in sorted(tuf.metadata.iterdir())}
    cache, objects = folder / "cache", folder / "objects"
    (folder / "root.json").write_bytes(tuf.root_bytes)
    (folder / "password").write_text(PASSWORD)
    wanted = (manifest_target("digits", 1),)
    root, password = str(folder / "root.json"), str(folder / "password")
    asked = TufRequest(server.url, "d1", password, "", root, str(cache), str(objects), wanted)
    names = [*files, cache / "timestamp.json", cache / "snapshot.json"]

    def start_anew() -> None:
        for path, content in files.items():
            path.write_bytes(content)
        for place in (cache, objects):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()

    def take(data: bytes) -> str:
        start_anew()
        changed = names[data[:1][0] % len(names) if data else 0]
        if changed.parent == cache:
            assert refresh(asked).error == ""
        changed.write_bytes(data[1:])
        answer = refresh(asked)
        assert bool(answer.error) == bool(answer.kind)
        assert answer.error or answer.targets == {wanted[0]: FileEntry(sha256_of(b"{}"), 2)}
        return answer.kind

    try:
        yield Opened([bytes([index % len(names)]) + files[path] for index, path in enumerate(files)], take)
    finally:
        server.close()


@contextlib.contextmanager
def patches(folder: Path) -> Iterator[Opened]:
    """A patch that nobody signed; the first byte says which kind."""
    base = np.random.default_rng(0).integers(0, 50, 30_000, np.uint8).tobytes()
    new = base[:1000] + b"changed" + base[1100:]
    (folder / "base").write_bytes(base)
    kinds = list(PatchKind)

    def take(data: bytes) -> str:
        kind = kinds[data[:1][0] % len(kinds) if data else 0]
        (folder / "patch").write_bytes(data[1:])
        answer = rebuild(RebuildRequest(kind, str(folder / "base"), str(folder / "patch"), str(folder / "target"), len(new)))
        assert (folder / "target").stat().st_size <= len(new)
        return "refused" if answer.error else ""

    yield Opened([bytes([index]) + make_patch(kind, base, new) for index, kind in enumerate(kinds)], take)


SOCKETS = (
    Door("endpoint-images", _endpoint(partial(make_package, key=KEY), image_requests)),
    Door("endpoint-rows", _endpoint(partial(make_table_package, key=KEY), row_requests)),
    Door("broker-packets", broker_packets),
    Door("server-answers", server_answers),
    Door("tuf-metadata", tuf_metadata),
    Door("patches", patches),
)
