"""Artifacts over HTTP as a small ASGI application of its own: GET and HEAD with Range and If-Range, PUT as a stream.

`/v1/artifacts/<sha256>/blocks` lists the digests of an artifact's blocks, `…/patches` its patches,
`…/patches/<sha256>` is one of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from contract.errors import ContractError
from fleet_server.api.access import check_host, identify, require_operator
from fleet_server.api.floor import Floor
from fleet_server.api.ranges import UnsatisfiableRangeError, byte_range
from fleet_server.api.refusals import error_body
from fleet_server.deltas.derived import DerivedFiles
from fleet_server.errors import FleetError, NotFoundError, RefusedError, TooLargeError
from fleet_server.store import schema
from fleet_server.store.artifacts import ARTIFACT_MAX_BYTES
from fleet_server.trust.publication import find_target

CHUNK_BYTES = 256 * 1024
ARTIFACTS = "/v1/artifacts/"
TARGETS = "/v1/tuf/targets/"
Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ArtifactApp:
    """The ASGI application for `/v1/artifacts/<sha256>` and `/v1/tuf/targets/<path>`."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._derived = DerivedFiles(floor.artifacts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            await self._answer(scope, headers, receive, send)
        except (FleetError, ContractError) as error:
            code, body = error_body(error)
            await _send_whole(send, code, body, {"content-type": "application/json"}, scope["method"])

    async def _answer(self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        check_host(self._floor, headers)
        caller = identify(self._floor, headers.get("authorization", ""), (scope.get("client") or ("",))[0])
        path, method = str(scope["path"]), scope["method"]
        if method == "PUT" and path.startswith(ARTIFACTS):
            require_operator(caller)
            await self._store(path.removeprefix(ARTIFACTS), headers, receive, send)
        elif method in {"GET", "HEAD"}:
            await self._send_what(path, headers, method, send)
        else:
            await _send_whole(send, 405, b'{"error":"this method is not possible here"}', {"allow": "GET, HEAD, PUT"}, method)

    async def _send_what(self, path: str, headers: Mapping[str, str], method: str, send: Send) -> None:
        if not path.startswith(ARTIFACTS):
            sha256 = await self._floor.read(find_target, path.removeprefix(TARGETS))
            if sha256 is None:
                raise NotFoundError("no role in force lists this target")
            await self._send_artifact(sha256, headers, method, send)
            return
        sha256, _, part = path.removeprefix(ARTIFACTS).partition("/")
        if not part:
            await self._send_artifact(sha256, headers, method, send)
        elif part in {"blocks", "patches"}:
            make = self._derived.blocks_of if part == "blocks" else self._derived.patches_of
            body = await asyncio.to_thread(make, sha256)
            await _send_whole(send, 200, body, {"content-type": "application/json"}, method)
        else:
            await self._send_patch(sha256, part.removeprefix("patches/"), headers, method, send)

    async def _send_artifact(self, sha256: str, headers: Mapping[str, str], method: str, send: Send) -> None:
        path = self._floor.artifacts.path_of(sha256)
        if not path.is_file():
            raise NotFoundError(f"the artifact {sha256[:16]}… is not here")
        await self._send_file((path, sha256), headers, method, send)

    async def _send_patch(self, target: str, sha256: str, headers: Mapping[str, str], method: str, send: Send) -> None:
        path = self._derived.find_patch(target, sha256)
        if path is None:
            raise NotFoundError("this patch is not here", "Fetch the whole artifact.")
        await self._send_file((path, sha256), headers, method, send)

    async def _send_file(self, found: tuple[Path, str], headers: Mapping[str, str], method: str, send: Send) -> None:
        path, sha256 = found
        size = path.stat().st_size
        etag = f'"{sha256}"'
        common = {"etag": etag, "accept-ranges": "bytes", "content-type": "application/octet-stream", "cache-control": "private, immutable"}
        if headers.get("if-none-match") == etag:
            await _send_whole(send, 304, b"", common, method)
            return
        wanted = headers.get("range", "") if headers.get("if-range", etag) == etag and method == "GET" else ""
        try:
            part = byte_range(wanted, size)
        except UnsatisfiableRangeError:
            await _send_whole(
                send, 416, b'{"error":"the range lies outside the file"}', common | {"content-range": f"bytes */{size}"}, method
            )
            return
        first, last = part or (0, size - 1)
        more = {"content-length": str(last - first + 1)} | ({"content-range": f"bytes {first}-{last}/{size}"} if part else {})
        await _start(send, 206 if part else 200, common | more)
        await _send_slice(send, path, first, last - first + 1 if method == "GET" else 0)

    async def _store(self, sha256: str, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        size = self._floor.artifacts.size_of(sha256)  # also refuses what is no digest
        if headers.get("content-length", "").isdigit() and int(headers["content-length"]) > ARTIFACT_MAX_BYTES:
            raise TooLargeError(f"the artifact is larger than the {ARTIFACT_MAX_BYTES} bytes that are accepted")
        with self._floor.artifacts.receive(sha256) as upload:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError("the upload was cut off")
                upload.add(message.get("body", b""))
                more = message.get("more_body", False)
            stored = upload.finish()
        await self._floor.write(_note_artifact, sha256, stored, self._floor.clock())
        await _send_whole(send, 200 if size is not None else 201, b"{}", {"content-type": "application/json"}, "PUT")


def _note_artifact(connection: Connection, sha256: str, size_bytes: int, now: float) -> None:
    row = {"sha256": sha256, "size_bytes": size_bytes, "created_at": now}
    connection.execute(insert(schema.artifacts).values(row).on_conflict_do_nothing())


async def _start(send: Send, code: int, headers: Mapping[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": code, "headers": raw})


async def _send_whole(send: Send, code: int, body: bytes, headers: Mapping[str, str], method: str) -> None:
    await _start(send, code, {**headers, "content-length": str(len(body))})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


async def _send_slice(send: Send, path: Path, first: int, length: int) -> None:
    with path.open("rb") as file:
        file.seek(first)
        while length > 0 and (chunk := file.read(min(CHUNK_BYTES, length))):
            length -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
