"""The sockets on which a slot answers: TCP and a Unix socket, made once and kept for all its workers."""

import contextlib
import logging
import os
import socket
import time
from pathlib import Path

from edge_agent.worker.messages import Access

BACKLOG = 128
PORT_PATIENCE_S = 2.0
"""The worker of an agent that was killed may hold the port for a moment longer."""
_UNIX_PATH_MAX = 100

log = logging.getLogger(__name__)


class ListenError(Exception):
    """A port can not be had."""


class Listening:
    """The listening sockets of one slot; the supervisor owns them, workers inherit them."""

    def __init__(self, port: int, unix_path: Path, host: str = "127.0.0.1", access: Access | None = None) -> None:
        """Port 0 takes a free one. `access` is how workers guard the TCP socket.

        Raises:
            ListenError: the port is taken, or this machine has no such address.
        """
        self.access = access or Access()
        self._tcp = _listen_tcp(host, port)
        self.unix_path: Path | None = None
        self._unix = _listen_unix(unix_path)
        if self._unix is not None:
            self.unix_path = unix_path

    @property
    def url(self) -> str:
        """Where the TCP socket answers, for a client on this machine."""
        host, port = self._tcp.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (compared, not bound)
        return f"{'https' if self.access.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        """For the workers to inherit."""
        return tuple(opened.fileno() for opened in (self._tcp, self._unix) if opened is not None)

    def close(self) -> None:
        """Close and remove what is in the file system."""
        self._tcp.close()
        if self._unix is not None:
            self._unix.close()
        if self.unix_path is not None:
            with contextlib.suppress(OSError):
                self.unix_path.unlink()


def _listen_tcp(host: str, port: int) -> socket.socket:
    deadline = time.monotonic() + PORT_PATIENCE_S
    while True:
        opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, port))
            opened.listen(BACKLOG)
        except OSError as error:
            opened.close()
            if time.monotonic() > deadline:
                raise ListenError(
                    f"port {port} of {host} can not be had: {error}. Choose another with --http-port, or 0 for any"
                ) from error
            time.sleep(0.1)
        else:
            return opened


def _listen_unix(path: Path) -> socket.socket | None:
    """None where the system has no such sockets or the path is too long for one."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    if len(os.fsencode(path)) > _UNIX_PATH_MAX:
        log.warning("There is no Unix socket at %s: a path for one has at most %d bytes here. TCP answers", path, _UNIX_PATH_MAX)
        return None
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        opened.bind(str(path))
        path.chmod(0o660)
        opened.listen(BACKLOG)
    except OSError as error:
        log.warning("There is no Unix socket at %s: %s. TCP answers", path, error)
        opened.close()
        return None
    return opened
