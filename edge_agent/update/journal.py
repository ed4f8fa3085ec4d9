"""The journal: append-only JSON lines with a checksum each, on disk before anything is done.

An `intent` line is written before a state's work begins, a `result` line after it. A last line
without its end was being written when the power went: what it announced had not begun, so it is
dropped. Any other bad line means damage: the caller then goes back to the last known good version.
"""

import contextlib
import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.codec import encode, utc_now
from contract.states import FailureReason, UpdateState
from edge_agent.update.disk import REAL_DISK, Disk, replace_content
from edge_agent.update.records import Update

JOURNAL_MAX_BYTES = 16 << 20
COMPACT_ABOVE_BYTES = 256 * 1024
_CHECK_KEY = b',"check":"'
_CHECK_DIGITS = 16
_TAIL_BYTES = len(_CHECK_KEY) + _CHECK_DIGITS + 2  # and `"}`

log = logging.getLogger(__name__)


class JournalRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `update` is the whole update, the other fields repeat it for people and tools."""

    at: str
    slot: str
    kind: str  # intent, result
    state: UpdateState
    revision: int
    attempt: int
    model: str
    version: int
    update: Update
    reason: FailureReason | None = None
    detail: str = ""


class JournalState(NamedTuple):
    """What the journal says of each slot; `damage` is empty where every line was whole."""

    updates: dict[str, Update]
    damage: str = ""


def seal(body: bytes) -> bytes:
    """A JSON object as a line of the journal: with its checksum as last member and a line feed."""
    digest = hashlib.sha256(body).hexdigest()[:_CHECK_DIGITS].encode()
    return body[:-1] + _CHECK_KEY + digest + b'"}\n'


def unseal(line: bytes) -> bytes | None:
    """The JSON object of a line (without its line feed); None where the checksum is wrong."""
    body = line[:-_TAIL_BYTES] + b"}"
    return body if seal(body)[:-1] == line else None


class Journal:
    """The journal of one agent; one writer."""

    def __init__(self, path: Path, disk: Disk = REAL_DISK) -> None:
        self.path = path
        self._disk = disk
        self._whole_bytes: int | None = None  # length of all whole lines; None: not known yet

    def read(self, *, repair: bool = True) -> JournalState:
        """The last record of each slot; `repair` drops a torn last line. Never raises for what the file holds."""
        try:
            data = self._disk.read(self.path, JOURNAL_MAX_BYTES) if self.path.exists() else b""
        except Exception as error:  # noqa: BLE001  (whatever is wrong with the file, the agent starts)
            return JournalState({}, f"the journal can not be read: {error}")
        *lines, torn = data.split(b"\n")
        if torn:
            log.warning("The journal's last line was cut short (%d bytes); what it announced had not begun", len(torn))
            self._whole_bytes = len(data) - len(torn)
            if repair:
                with contextlib.suppress(OSError):  # then `append` tries again
                    self._disk.truncate(self.path, self._whole_bytes)
        return _parse(lines)

    def append(self, slot: str, kind: str, update: Update) -> None:
        """Write one line and wait until it is on the disk.

        Raises:
            OSError: it is not; what it announces must not be done.
        """
        line = seal(encode(_record(slot, kind, update)))
        found = self.path.stat().st_size if self.path.exists() else 0
        size = found if self._whole_bytes is None else self._whole_bytes
        if found > size:  # a line that failed before could not be taken back then
            self._disk.truncate(self.path, size)
        try:
            self._disk.append(self.path, line)
            self._disk.sync(self.path)
            if size == 0:
                self._disk.sync(self.path.parent)
        except OSError:
            self._whole_bytes = size
            with contextlib.suppress(OSError):
                self._disk.truncate(self.path, size)
            raise
        self._whole_bytes = size + len(line)

    def compact(self, updates: Iterable[tuple[str, Update]], *, above_bytes: int = COMPACT_ABOVE_BYTES) -> None:
        """Replace a long journal by the last record of each slot."""
        if self.path.exists() and self.path.stat().st_size > above_bytes:
            self.replace(updates)

    def replace(self, updates: Iterable[tuple[str, Update]]) -> None:
        """Begin a new journal with these records."""
        lines = b"".join(seal(encode(_record(slot, "result", update))) for slot, update in updates)
        self._whole_bytes = None
        replace_content(self._disk, self.path, lines)

    def set_aside(self) -> Path:
        """Keep a damaged journal under another name and begin an empty one."""
        kept = self.path.with_name(f"{self.path.name}.damaged")
        self._disk.rename(self.path, kept)
        self.replace(())
        return kept


def _record(slot: str, kind: str, update: Update) -> JournalRecord:
    wish = update.wish
    return JournalRecord(
        at=utc_now(),
        slot=slot,
        kind=kind,
        state=update.state,
        revision=wish.revision,
        attempt=update.attempt,
        model=wish.model.model,
        version=wish.model.version,
        update=update,
        reason=update.reason,
        detail=update.detail,
    )


def _parse(lines: list[bytes]) -> JournalState:
    updates: dict[str, Update] = {}
    for number, line in enumerate(lines, 1):
        body = unseal(line)
        if body is None:
            return JournalState(updates, f"line {number} of the journal is damaged: its checksum is wrong")
        try:
            record = msgspec.json.decode(body, type=JournalRecord)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return JournalState(updates, f"line {number} of the journal can not be understood: {error}")
        updates[record.slot] = record.update
    return JournalState(updates)
