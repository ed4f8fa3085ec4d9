"""The outbox's SQLite file: one transaction at a time, each as large as may be, since every one costs flash writes.

A transaction that gives sequence numbers, or keeps what must not be lost, is forced to the disk before
it counts; others may be lost by a power cut (not by a kill), and what they did is then done again.
"""

import contextlib
import logging
import secrets
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.codec import encode
from contract.commands import CommandResult
from contract.messages import Event, Window
from contract.topics import Channel

PRIORITIES = ("update", "agent", "window", "rule")
"""What is sent first and dropped last, to what is sent last and dropped first."""
_KINDS: dict[str, type[Event] | type[Window] | type[CommandResult]] = {
    Channel.EVENT.value: Event,
    Channel.WINDOW.value: Window,
    Channel.COMMAND_RESULT.value: CommandResult,
}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (id TEXT NOT NULL, next_sequence INTEGER NOT NULL, dropped INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  priority INTEGER NOT NULL,
  sequence INTEGER,
  body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS message_sequence ON message (sequence) WHERE sequence IS NOT NULL;
CREATE TABLE IF NOT EXISTS drop_count (kind TEXT PRIMARY KEY, count INTEGER NOT NULL);
"""

_OTHER_SCHEMA = ("no such column", "no such table", "has no column", "near ", "malformed", "already")
"""How SQLite's errors begin, or what they hold, where a file has other tables than an outbox."""

log = logging.getLogger(__name__)


class Unsent(NamedTuple):
    """A message without a sequence number; `priority` is an index of `PRIORITIES`."""

    priority: int
    channel: Channel
    body: bytes


class Waiting(NamedTuple):
    """A message to send: `body` has its stream and sequence."""

    sequence: int
    channel: Channel
    body: bytes


class Change(NamedTuple):
    """What one transaction does, in this order: forget, keep, drop down to `max_bytes`, number up to `number` messages."""

    max_bytes: int
    acked_upto: int = 0
    new: Sequence[Unsent] = ()
    dropped: Sequence[int] = ()  # priorities of messages that never reached the file
    number: int = 0
    durable: bool = False


class OutboxFile:
    """An open outbox; `unsent` counts messages without a number, `size_bytes` all bodies, `transactions` what was committed."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the file; a damaged one is set aside and a new stream begins. None: in memory only.

        Raises:
            sqlite3.OperationalError, OSError: the disk is full or broken.
        """
        self._path = path
        self.transactions = 0
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if is_disk_trouble(error):
                raise
            self.set_aside(error)
        self._replace_if_a_number_is_lost()

    def set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Keep the damaged file beside a new, empty one."""
        log.warning("The outbox is damaged (%s); it is kept as %s.damaged and a new one begins", error, self._path)
        with contextlib.suppress(AttributeError, sqlite3.Error):
            self._db.close()
        if self._path is None:
            self._open()
            return
        self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        with _rows_are_ours():
            self._db = _connect(self._path)
            self.stream: str = _text(self._db.execute("SELECT id FROM stream").fetchone()[0])
            self._count()
            if self.next_sequence < 1 or min(self.dropped.values(), default=0) < 0:
                raise ValueError("a number below zero")

    def _replace_if_a_number_is_lost(self) -> None:
        """A sent message that can not be read leaves a gap that no acknowledgement would ever pass: begin another stream."""
        rows = self._db.execute("SELECT sequence, channel, body FROM message WHERE sequence IS NOT NULL").fetchall()
        if all(isinstance(sequence, int) and _is_readable(channel, body) for sequence, channel, body in rows):
            return
        known = self.all_unsent()
        self.set_aside(sqlite3.DatabaseError("a message that was sent can not be read any more"))
        self.commit(Change(sys.maxsize, new=known))

    def _count(self) -> None:
        row = self._db.execute("SELECT coalesce(sum(length(body)), 0), count(*), count(sequence) FROM message").fetchone()
        self.size_bytes, self.depth, sent = (int(value) for value in row)
        self.unsent = self.depth - sent

    @property
    def next_sequence(self) -> int:
        """The number that the next message gets."""
        return int(self._db.execute("SELECT next_sequence FROM stream").fetchone()[0])

    @property
    def dropped(self) -> dict[str, int]:
        """How many messages of each kind were dropped since the file was made; those of older files count as `unknown`."""
        counts = {kind: int(count) for kind, count in self._db.execute("SELECT kind, count FROM drop_count")}
        rest = int(self._db.execute("SELECT dropped FROM stream").fetchone()[0]) - sum(counts.values())
        return {**counts, **({"unknown": rest} if rest > 0 else {})}

    def sent(self) -> list[Waiting]:
        """All messages that have a number, in its order."""
        rows = self._db.execute("SELECT sequence, channel, body FROM message WHERE sequence IS NOT NULL ORDER BY sequence")
        return [Waiting(sequence, Channel(channel), body) for sequence, channel, body in rows]

    def all_unsent(self) -> list[Unsent]:
        """All messages, as if none had ever been given a number; in the order of sequence, then priority and age."""
        rows = self._db.execute("SELECT priority, channel, body FROM message ORDER BY sequence IS NULL, sequence, priority, id")
        return [Unsent(_priority(priority), Channel(channel), body) for priority, channel, body in rows if _is_readable(channel, body)]

    def commit(self, change: Change) -> list[Waiting]:
        """Do all of `change` or nothing; returns the messages that were numbered.

        Raises:
            sqlite3.Error: the disk is full or broken, or the file is damaged; nothing was done.
        """
        self._db.execute(f"PRAGMA synchronous = {'FULL' if change.durable or change.number else 'NORMAL'}")
        with self._transaction():
            if change.acked_upto:
                self._db.execute("DELETE FROM message WHERE sequence <= ?", (change.acked_upto,))
            rows = [(unsent.channel.value, unsent.priority, unsent.body) for unsent in change.new]
            self._db.executemany("INSERT INTO message (channel, priority, body) VALUES (?, ?, ?)", rows)
            for priority in change.dropped:
                self._note_drop(priority)
            self._make_room(change.max_bytes)
            numbered = self._number(change.number) if change.number else []
        self.transactions += 1
        self._count()
        return numbered

    def _make_room(self, max_bytes: int) -> None:
        """Drop what was never sent, from the last priority up, the oldest first."""
        total = int(self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM message").fetchone()[0])
        while total > max_bytes:
            row = self._db.execute(
                "SELECT id, length(body), priority FROM message WHERE sequence IS NULL ORDER BY priority DESC, id LIMIT 1"
            ).fetchone()
            if row is None:
                return
            self._db.execute("DELETE FROM message WHERE id = ?", (row[0],))
            self._note_drop(row[2])
            total -= row[1]

    def _note_drop(self, priority: int) -> None:
        self._db.execute("UPDATE stream SET dropped = dropped + 1")
        kind = PRIORITIES[_priority(priority)]
        self._db.execute("INSERT INTO drop_count VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET count = count + 1", (kind,))

    def _number(self, count: int) -> list[Waiting]:
        """Give the next sequence numbers to up to `count` messages, by priority and age."""
        rows = self._db.execute(
            "SELECT id, channel, body FROM message WHERE sequence IS NULL ORDER BY priority, id LIMIT ?", (count,)
        ).fetchall()
        numbered: list[Waiting] = []
        first = self.next_sequence
        for identifier, channel, body in rows:
            if not _is_readable(channel, body):  # the disk changed it
                self._db.execute("DELETE FROM message WHERE id = ?", (identifier,))
                self._note_drop(len(PRIORITIES) - 1)
                continue
            sequence = first + len(numbered)
            waiting = Waiting(sequence, Channel(channel), self._stamp(channel, body, sequence))
            self._db.execute("UPDATE message SET sequence = ?, body = ? WHERE id = ?", (sequence, waiting.body, identifier))
            numbered.append(waiting)
        self._db.execute("UPDATE stream SET next_sequence = ?", (first + len(numbered),))
        return numbered

    def _stamp(self, channel: str, body: bytes, sequence: int) -> bytes:
        message = msgspec.json.decode(body, type=_KINDS[channel])
        return encode(msgspec.structs.replace(message, stream=self.stream, sequence=sequence))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with _rows_are_ours():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # the error that led here says more
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def is_disk_trouble(error: sqlite3.Error) -> bool:
    """Whether the disk or a lock is at fault, so that the file may be whole; a damaged file is another error."""
    return isinstance(error, sqlite3.OperationalError) and not any(words in str(error) for words in _OTHER_SCHEMA)


@contextlib.contextmanager
def _rows_are_ours() -> Iterator[None]:
    """SQLite checks a page's form, not that a number is a number or a text is one: what is none counts as a damaged file."""
    try:
        yield
    except (TypeError, ValueError, OverflowError) as error:
        raise sqlite3.DatabaseError(f"it holds what no agent wrote: {error}") from error


def _is_readable(channel: object, body: object) -> bool:
    """Whether a row is a message of this contract."""
    kind = _KINDS.get(channel) if isinstance(channel, str) else None
    if kind is None or not isinstance(body, bytes):
        return False
    try:
        msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _priority(value: object) -> int:
    """An index of `PRIORITIES`; what is none counts as the last."""
    last = len(PRIORITIES) - 1
    return min(max(value, 0), last) if isinstance(value, int) else last


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 4194304")
        db.executescript(_SCHEMA)
        _check(db)
        if db.execute("SELECT count(*) FROM stream").fetchone()[0] == 0:
            db.execute("INSERT INTO stream VALUES (?, 1, 0)", (secrets.token_hex(16),))
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    answer = db.execute("PRAGMA quick_check").fetchone()[0]
    if answer != "ok":
        raise sqlite3.DatabaseError(f"its check says: {answer}")
