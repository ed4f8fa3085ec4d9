"""Files by digest over HTTP: resumed where they broke off, bounded, checked, and only then an object."""

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import urllib3

from contract.files import sha256_of_file
from contract.manifest import FileEntry
from edge_agent.http_client import HttpError, ServerHttp, describe
from edge_agent.update.disk import REAL_DISK, Disk

PATIENCE_S = 3600.0
"""Give up when no byte came for this long, whatever was tried."""
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.5, 60.0
WRONG_CONTENT_LIMIT = 2
_PIECE_BYTES = 64 * 1024
_OK, _PARTIAL, _RANGE_REFUSED, _TOO_MANY = 200, 206, 416, 429
_REQUEST_TIMEOUT = 408

log = logging.getLogger(__name__)


class DownloadError(Exception):
    """A file could not be had; trying again would not help."""


class WrongContentError(DownloadError):
    """The server gives other content than the digest promises."""


class DownloadCancelledError(DownloadError):
    """The update was cancelled."""


class _BrokenOffError(Exception):
    """Worth another try."""


class Patience(NamedTuple):
    """How long and how often a download is tried; tests shorten it."""

    total_s: float = PATIENCE_S
    first_s: float = BACKOFF_FIRST_S
    last_s: float = BACKOFF_LAST_S

    def delay_s(self, tries: int) -> float:
        """A random wait before the next try, doubling up to `last_s`."""
        return random.uniform(0.5, 1.0) * min(self.last_s, self.first_s * 2.0**tries)  # noqa: S311  (spreads load, hides nothing)


PATIENCE = Patience()


def fetch_object(
    http: ServerHttp,
    entry: FileEntry,
    objects: Path,
    *,
    cancelled: threading.Event,
    patience: Patience = PATIENCE,
    disk: Disk = REAL_DISK,
) -> Path:
    """Fetch `/v1/artifacts/<sha256>` into `objects/<sha256>`; what was fetched before a break is kept.

    Raises:
        DownloadError: the server says no (403, 404, 410, …), or nothing came for `patience.total_s`.
        WrongContentError: the content is not what the digest promises, twice.
        DownloadCancelledError: `cancelled` was set.
        OSError: the disk is full or can not be written.
    """
    partial = objects / ".partial" / entry.sha256
    disk.make_folder(partial.parent)
    tries, wrong, last_progress = 0, 0, time.monotonic()
    while True:
        before = _size(partial)
        try:
            _fetch_rest(http, entry, _Partial(partial, disk), cancelled)
            return _accept(entry, partial, objects, disk)
        except WrongContentError as error:
            wrong += 1
            if wrong >= WRONG_CONTENT_LIMIT:
                raise
            log.warning("%s; fetching it again from the beginning", error)
            continue
        except (_BrokenOffError, HttpError) as error:
            if _size(partial) > before:
                tries, last_progress = 0, time.monotonic()
            if time.monotonic() - last_progress > patience.total_s:
                raise DownloadError(f"{entry.sha256[:16]}… could not be fetched for {patience.total_s:g} s: {error}") from error
            log.info("Fetching %s… broke off at %d of %d bytes: %s", entry.sha256[:16], _size(partial), entry.size_bytes, error)
            tries += 1
        if cancelled.wait(patience.delay_s(tries)):
            raise DownloadCancelledError("the download was cancelled")


class _Partial(NamedTuple):
    """A file on its way."""

    path: Path
    disk: Disk

    def restart(self) -> None:
        """Forget what was fetched."""
        self.disk.remove(self.path)

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self.disk.append(self.path, piece)


def _fetch_rest(http: ServerHttp, entry: FileEntry, partial: _Partial, cancelled: threading.Event) -> None:
    have = _size(partial.path)
    if have > entry.size_bytes:
        partial.restart()
        have = 0
    if have == entry.size_bytes:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    with http.open(f"/v1/artifacts/{entry.sha256}", headers) as response:
        _check_status(response, partial)
        append = response.status == _PARTIAL and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if response.status == _PARTIAL and not append:
            raise _BrokenOffError(f"the server sent {response.headers.get('Content-Range')!r}, asked for from {have}")
        if not append:
            partial.restart()
        _copy(response, partial.add, entry.size_bytes - (have if append else 0), cancelled)


def _check_status(response: urllib3.BaseHTTPResponse, partial: _Partial) -> None:
    if response.status in {_OK, _PARTIAL}:
        return
    if response.status == _RANGE_REFUSED:
        partial.restart()
        raise _BrokenOffError("the server refused to go on from here")
    message = describe(response)
    if response.status in {_REQUEST_TIMEOUT, _TOO_MANY} or response.status >= 500:  # noqa: PLR2004
        raise _BrokenOffError(message)
    raise DownloadError(f"the server refuses {response.geturl() or 'the file'}: {message}")


def _copy(response: urllib3.BaseHTTPResponse, write: Callable[[bytes], object], wanted: int, cancelled: threading.Event) -> None:
    try:
        while wanted > 0:
            if cancelled.is_set():
                raise DownloadCancelledError("the download was cancelled")
            piece = response.read1(min(_PIECE_BYTES, wanted))
            if not piece:
                raise _BrokenOffError(f"the answer ended {wanted} bytes early")
            write(piece)
            wanted -= len(piece)
    except urllib3.exceptions.HTTPError as error:
        raise _BrokenOffError(f"the connection broke: {error}") from error


def _accept(entry: FileEntry, partial: Path, objects: Path, disk: Disk) -> Path:
    if not partial.exists():
        disk.write(partial, b"")  # an empty file needs no request
    digest = sha256_of_file(partial)
    if digest != entry.sha256:
        disk.remove(partial)
        raise WrongContentError(f"the server sent other content than {entry.sha256[:16]}… (its SHA-256 is {digest[:16]}…)")
    target = objects / entry.sha256
    disk.sync(partial)
    disk.rename(partial, target)
    disk.sync(objects)
    return target


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
