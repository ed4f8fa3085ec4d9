"""A server under test as child processes on a free loopback port: started, asked until it is right, ended whole."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from benchmarks.compared_servers.environments import ROOT

READY_WITHIN_S = 60.0
_END_WITHIN_S = 8.0
_ANSWER_WITHIN_S = 10
_ANSWER_MAX_BYTES = 1 << 20


class StartError(Exception):
    """A server did not come up; the text is the reason for the table."""


class LoopbackClient:
    """One keep-alive connection that sends the same bytes again and again; every wait and size is bounded."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._socket = self._connect()

    def _connect(self) -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self._port), timeout=_ANSWER_WITHIN_S)
        opened.setblocking(True)  # bounded by the options below, which cost no call per request
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            opened.setsockopt(socket.SOL_SOCKET, option, _ANSWER_WITHIN_S.to_bytes(8, "little") + bytes(8))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def _begin(self) -> bytes:
        self._socket.sendall(self._request)
        return self._socket.recv(1 << 16)

    def _begin_again(self) -> bytes:
        """Some servers close what was idle for some seconds, as it is while the others have their turns."""
        self.close()
        self._socket = self._connect()
        return self._begin()

    def ask(self) -> bytes:
        """The body of the answer.

        Raises:
            OSError: no answer in time, a closed connection, or an answer that is not 200 with a length.
        """
        try:
            data = self._begin()
        except (BrokenPipeError, ConnectionResetError):
            data = b""
        data = data or self._begin_again()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more(len(data))
        head = data[:end].lower()
        mark = head.find(b"content-length:")
        if not head.startswith(b"http/1.1 200") or mark < 0:
            raise OSError(f"an answer that is none: {data[:300]!r}")
        total = end + 4 + int(head[mark + 15 :].split(b"\r\n", 1)[0])
        while len(data) < total:
            data += self._more(len(data))
        return data[end + 4 :]

    def _more(self, received: int) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data or received > _ANSWER_MAX_BYTES:
            raise OSError("the server closed the connection, or its answer is too long")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def find_free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def is_open(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server with `folder` as its place for files; at the end no process of it is left."""
    full = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    with (folder / "log.txt").open("wb") as log_file:
        process = subprocess.Popen(
            command, cwd=folder, env=full, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True
        )
        try:
            yield process
        finally:
            end_whole(process)


def end_whole(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; kill what is left of its tree."""
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(tree, _END_WITHIN_S)
        for child in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(alive, _END_WITHIN_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_END_WITHIN_S)


def wait_until_right(process: subprocess.Popen[bytes], log: Path, ask: Callable[[], bool]) -> None:
    """Ask again and again until the answer is right.

    Raises:
        StartError: it ended, or gave no right answer in time.
    """
    deadline = time.monotonic() + READY_WITHIN_S
    reason = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"ended with {process.returncode}: {last_line(log)}")
        try:
            if ask():
                return
            reason = "its scores are not those of the model"
        except (OSError, ValueError, KeyError) as error:
            reason = str(error)
        time.sleep(0.02)
    raise StartError(f"no right answer within {READY_WITHIN_S:g} s: {reason[:300]}; {last_line(log)}")


def last_line(log: Path) -> str:
    """The last words of a server."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:160] if lines else "it said nothing"


def count_memory(pid: int) -> tuple[int, float]:
    """Processes of a tree, and their memory as the sum of PSS in MB."""
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return len(tree), sum(process.memory_full_info().pss for process in tree) / 1e6
