"""Files by digest over HTTP: resumed where they broke off, bounded, checked, and only then in place."""

import logging
import random
import re
import threading
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import urllib3

from contract.blocks import BLOCK_BYTES, BLOCK_LIST_MAX_BYTES, BlockList
from contract.codec import shorten
from contract.files import sha256_of_file
from contract.manifest import FileEntry
from edge_agent.http_client import BROKEN, HttpError, ServerHttp, describe
from edge_agent.update.block_check import BlockCheck, WrongBlockError
from edge_agent.update.disk import REAL_DISK, Disk

PATIENCE_S = 3600.0
"""Give up when no byte came for this long, whatever was tried."""
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.5, 60.0
WRONG_CONTENT_LIMIT = 2
PARTIAL = ".partial"
_PIECE_BYTES = 64 * 1024
_OK, _PARTIAL_CONTENT, _RANGE_REFUSED, _TOO_MANY = 200, 206, 416, 429
_REQUEST_TIMEOUT = 408
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{0,18}(?:/(\d{1,18}|\*))?")

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
        doubled_s = self.first_s * 2.0 ** min(tries, 20)  # a thousand tries are possible, and no number for them
        return random.uniform(0.5, 1.0) * min(self.last_s, doubled_s)  # noqa: S311  (spreads load, hides nothing)


PATIENCE = Patience()


class Wanted(NamedTuple):
    """A file to fetch: its address on the server, what it must be, where it shall lie, and where on its way."""

    address: str
    entry: FileEntry
    target: Path
    partial: Path


def fetch_object(
    http: ServerHttp,
    entry: FileEntry,
    objects: Path,
    *,
    cancelled: threading.Event,
    patience: Patience = PATIENCE,
    disk: Disk = REAL_DISK,
) -> Path:
    """Fetch `/v1/artifacts/<sha256>` into `objects/<sha256>`; see `fetch_file`."""
    wanted = Wanted(f"/v1/artifacts/{entry.sha256}", entry, objects / entry.sha256, objects / PARTIAL / entry.sha256)
    return fetch_file(http, wanted, cancelled=cancelled, patience=patience, disk=disk)


def fetch_file(http: ServerHttp, wanted: Wanted, *, cancelled: threading.Event, patience: Patience, disk: Disk) -> Path:
    """Fetch a file; what was fetched before a break is kept, and checked before it is used.

    Where the server lists the file's blocks, a damaged block is fetched again alone.

    Raises:
        DownloadError: the server says no (403, 404, 410, …), or nothing came for `patience.total_s`.
        WrongContentError: the content is not what the digest promises, twice.
        DownloadCancelledError: `cancelled` was set.
        OSError: the disk is full or can not be written.
    """
    download = _Download(http, wanted, cancelled, disk)
    short = f"{wanted.entry.sha256[:16]}…"
    disk.make_folder(download.partial.parent)
    tries, wrong, last_progress = 0, 0, time.monotonic()
    while True:
        before = _size(download.partial)
        try:
            download.fetch_rest()
            return download.accept()
        except WrongBlockError as error:
            log.warning("%s: %s and is fetched again", short, error)
            download.drop_from(error.start)
            continue  # bounded: `BLOCK_TRIES` per block
        except WrongContentError as error:
            wrong += 1
            if wrong >= WRONG_CONTENT_LIMIT:
                raise
            log.warning("%s; fetching it again from the beginning", error)
            continue
        except (_BrokenOffError, HttpError) as error:
            if _size(download.partial) > before:
                tries, last_progress = 0, time.monotonic()
            if time.monotonic() - last_progress > patience.total_s:
                raise DownloadError(f"{short} could not be fetched for {patience.total_s:g} s: {error}") from error
            log.info("Fetching %s broke off at %d of %d bytes: %s", short, _size(download.partial), wanted.entry.size_bytes, error)
            tries += 1
        if cancelled.wait(patience.delay_s(tries)):
            raise DownloadCancelledError("the download was cancelled")


class _Download:
    """One file on its way: what of it is on the disk, what is known of its blocks, and the server's ETag."""

    def __init__(self, http: ServerHttp, wanted: Wanted, cancelled: threading.Event, disk: Disk) -> None:
        self.partial = wanted.partial
        self._http = http
        self._wanted = wanted
        self._cancelled = cancelled
        self._disk = disk
        self._etag = ""
        self._check: BlockCheck | None = None
        self._asked_for_blocks = wanted.entry.size_bytes <= BLOCK_BYTES  # one block: its digest is the whole one

    def fetch_rest(self) -> None:
        """Whatever is missing of the file."""
        size = self._wanted.entry.size_bytes
        if _size(self.partial) > size:
            self._restart()
        self._learn_blocks()
        have = _size(self.partial)
        if self._check is not None and self._check.done_bytes != have:
            self._check.read(self.partial)
        if have == size:
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-"} | ({"If-Range": self._etag} if self._etag else {})
        with self._http.open(self._wanted.address, headers) as response:
            self._check_status(response)
            have = self._where_it_begins(response, have)
            self._copy(response, size - have)

    def _learn_blocks(self) -> None:
        if self._asked_for_blocks:
            return
        size = self._wanted.entry.size_bytes
        try:
            body, _ = self._http.get(f"{self._wanted.address}/blocks", BLOCK_LIST_MAX_BYTES)
            blocks = msgspec.json.decode(body, type=BlockList)
            self._check = BlockCheck(blocks, size) if blocks.fits(size) else None
        except HttpError as error:
            if not error.status:
                raise
            log.info("The server lists no blocks of %s…: %s", self._wanted.entry.sha256[:16], error)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("The server's list of blocks of %s… can not be read: %s", self._wanted.entry.sha256[:16], error)
        self._asked_for_blocks = True

    def _check_status(self, response: urllib3.BaseHTTPResponse) -> None:
        if response.status in {_OK, _PARTIAL_CONTENT}:
            return
        if response.status == _RANGE_REFUSED:
            self._restart()
            raise _BrokenOffError("the server refused to go on from here")
        message = describe(response)
        if response.status in {_REQUEST_TIMEOUT, _TOO_MANY} or response.status >= 500:  # noqa: PLR2004
            raise _BrokenOffError(message)
        raise DownloadError(f"the server refuses {response.geturl() or 'the file'}: {message}")

    def _where_it_begins(self, response: urllib3.BaseHTTPResponse, have: int) -> int:
        """Where the answer's bytes belong: after what is there, or at the beginning, what was there being dropped."""
        etag = response.headers.get("ETag", "")
        changed = bool(self._etag) and etag != self._etag
        self._etag = "" if etag.startswith("W/") else etag
        if response.status == _OK:
            self._check_length(response.headers.get("Content-Length", ""))
            self._restart()
            return 0
        told = response.headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(told)
        if match is None or int(match[1]) != have:
            raise _BrokenOffError(f"the server sent {told[:80]!r}, asked for from {have}")
        self._check_length(match[2] or "")
        if changed:
            self._restart()
            raise _BrokenOffError("the server's file changed in between")
        return have

    def _check_length(self, told: str) -> None:
        """A whole of another length is not the file (perhaps the page of a hotspot): take nothing of it."""
        size = self._wanted.entry.size_bytes
        if told.isdigit() and int(told) != size:
            raise _BrokenOffError(f"the server sends a file of {told[:20]} bytes, it must have {size}")

    def _copy(self, response: urllib3.BaseHTTPResponse, missing: int) -> None:
        while missing > 0:
            if self._cancelled.is_set():
                raise DownloadCancelledError("the download was cancelled")
            piece = _read_piece(response, min(_PIECE_BYTES, missing))
            if not piece:
                raise _BrokenOffError(f"the answer ended {missing} bytes early")
            self._disk.append(self.partial, piece)
            missing -= len(piece)
            if self._check is not None:
                self._check.add(piece)

    def _restart(self) -> None:
        """Forget what was fetched."""
        self._disk.remove(self.partial)
        if self._check is not None:
            self._check.read(self.partial)

    def drop_from(self, start: int) -> None:
        """Keep only the first bytes, which are sound; a list that accuses one block for ever is set aside."""
        self._disk.truncate(self.partial, start)
        if self._check is not None and self._check.is_worn_out(start):
            log.warning("The list of blocks is not believed any more; the whole digest of %s… decides", self._wanted.entry.sha256[:16])
            self._check = None

    def accept(self) -> Path:
        """Check the whole, and put it in its place."""
        if not self.partial.exists():
            self._disk.write(self.partial, b"")  # an empty file needs no request
        try:
            return put_in_place(self._wanted.entry, self.partial, self._wanted.target, self._disk)
        except WrongContentError:
            self._check = None  # its blocks were all right by the list: the list is of other content
            raise


def put_in_place(entry: FileEntry, partial: Path, target: Path, disk: Disk) -> Path:
    """Make a file that is whole an object, durably; one that is wrong is removed.

    Raises:
        WrongContentError: it has another digest.
    """
    digest = sha256_of_file(partial)
    if digest != entry.sha256:
        disk.remove(partial)
        raise WrongContentError(f"the server sent other content than {entry.sha256[:16]}… (its SHA-256 is {digest[:16]}…)")
    disk.sync(partial)
    disk.rename(partial, target)
    disk.sync(target.parent)
    return target


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_piece(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    try:
        return response.read1(most)
    except BROKEN as error:
        raise _BrokenOffError(f"the connection broke: {shorten(error)}") from error
