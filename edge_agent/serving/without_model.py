"""The process that answers while no model does: the status page with what is wrong and what to do, and 503 in words for the rest.

Started by `edge_agent.page_keeper` on the slot's own sockets, behind the same doors as a worker, since untrusted bytes
are no matter for the supervisor. It loads no runtime. It ends when its stdin closes or its parent dies.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from pathlib import Path

from contract.errors import ContractError
from edge_agent.hardware import agent_version
from edge_agent.home import Home
from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import Head, HttpError, Response, json_response
from edge_agent.serving.listeners import ListenerError, open_listeners
from edge_agent.serving.status_page import answer_page, look
from edge_agent.serving.traffic import Traffic
from edge_agent.worker.child_identity import confine
from edge_agent.worker.child_processes import end_with_parent
from edge_agent.worker.messages import LINE_MAX_BYTES, WorkerRequest, decode_request

MAX_BODY_BYTES = 64 << 20
DRAIN_S = 0.2
_RETRY = (("Retry-After", "5"),)

log = logging.getLogger(__name__)


class PageService:
    """What is answered in a model's place."""

    def __init__(self, status_file: Path, slot: str) -> None:
        self.traffic = Traffic(MAX_BODY_BYTES)
        self._status_file = status_file
        self._slot = slot

    def handle(self, head: Head, _body: Body) -> Response:
        """Answer one request.

        Raises:
            HttpError: 503, except where no model is needed.
        """
        if head.path == "/" and head.method in {"GET", "HEAD"}:
            return answer_page(head, look(self._status_file, None))
        if head.path == "/v2/health/live":
            return Response(200, b"")
        if head.path == "/v2":
            return json_response({"name": "eyelet-agent", "version": agent_version(), "extensions": []})
        if head.path == "/v2/repository/index":
            return json_response([])
        raise HttpError(503, f"no model serves here: {self._reason()}", headers=_RETRY)

    def _reason(self) -> str:
        """The agent's own words on this slot."""
        seen = look(self._status_file, None)
        subject = f"Slot {self._slot}"
        found = next((finding for finding in seen.findings if finding.subject == subject), None)
        return found.text if found is not None else "the page at / says more"


async def serve(request: WorkerRequest, lines: asyncio.StreamReader) -> int:
    """Until stdin closes; returns the exit status."""
    service = PageService(Home(Path(request.data_folder)).status, request.slot)
    sockets = [socket.socket(fileno=descriptor) for descriptor in request.sockets]
    try:
        listeners = await open_listeners(sockets, service, request.access)
    except (ListenerError, OSError) as error:
        log.error("the status page can not be served: %s", error)  # noqa: TRY400
        return 1
    ended = asyncio.ensure_future(lines.read())
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.cancel)
    await asyncio.wait([ended])
    await listeners.drain(DRAIN_S)
    listeners.close()
    await asyncio.sleep(0)
    return 0


async def _run() -> int:
    lines = asyncio.StreamReader(limit=LINE_MAX_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    line = await lines.readline()
    if not line:
        return 0
    try:
        return await serve(decode_request(line), lines)
    except ContractError as error:
        log.error("%s", error)  # noqa: TRY400
        return 1


def main() -> None:
    """Entry point of the child."""
    end_with_parent()
    confine()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's to answer
    sys.exit(asyncio.run(_run()))


if __name__ == "__main__":
    main()
