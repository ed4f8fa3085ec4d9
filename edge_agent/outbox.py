"""Events and windows that wait for the server, in a SQLite file that survives a kill and a power cut.

A message gets its sequence number when it is first sent, not when it is made: so the numbers of one
stream have no gaps, whatever was dropped to keep the file small. Only the server's own
acknowledgement (`committed_upto`) removes a message; until then it is sent again.
"""

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from contract.codec import encode
from contract.messages import Event, Window
from contract.topics import Channel

MAX_BYTES = 16 << 20
IN_FLIGHT = 100
_KINDS: dict[str, type[Event] | type[Window]] = {Channel.EVENT.value: Event, Channel.WINDOW.value: Window}
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
"""

log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """A message to send: `body` has its stream and sequence."""

    sequence: int
    channel: Channel
    body: bytes


class Outbox:
    """The outbox of one agent; used from one thread."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, in_flight: int = IN_FLIGHT) -> None:
        """Open or make the file; a damaged one is set aside and a new stream begins."""
        self._max_bytes = max_bytes
        self._in_flight = in_flight
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            log.warning("The outbox is damaged (%s); it is kept as %s.damaged and a new one begins", error, path.name)
            _set_aside(path)
            self._db = _open(path)
        row = self._db.execute("SELECT id, next_sequence, dropped FROM stream").fetchone()
        self.stream: str = row[0]
        self._bytes = self._count_bytes()

    @property
    def dropped(self) -> int:
        """How many messages were dropped for want of space since the file was made."""
        return int(self._db.execute("SELECT dropped FROM stream").fetchone()[0])

    @property
    def depth(self) -> int:
        """How many messages wait, sent ones without acknowledgement included."""
        return int(self._db.execute("SELECT count(*) FROM message").fetchone()[0])

    @property
    def first_sequence(self) -> int:
        """The oldest sequence that is still held; the next one where none is."""
        row = self._db.execute("SELECT coalesce((SELECT min(sequence) FROM message), (SELECT next_sequence FROM stream))").fetchone()
        return int(row[0])

    def put(self, message: Event | Window) -> None:
        """Keep a message until the server has it; its stream and sequence are set when it is sent.

        Raises:
            sqlite3.Error: the disk is full or broken.
        """
        channel = Channel.EVENT if isinstance(message, Event) else Channel.WINDOW
        body = encode(message)
        with self._transaction():
            self._db.execute(
                "INSERT INTO message (channel, priority, body) VALUES (?, ?, ?)",
                (channel.value, 0 if channel is Channel.EVENT else 1, body),
            )
            self._bytes += len(body)
            self._make_room()

    def _make_room(self) -> None:
        """Drop the oldest windows that were never sent, then the oldest such events."""
        while self._bytes > self._max_bytes:
            row = self._db.execute(
                "SELECT id, length(body) FROM message WHERE sequence IS NULL ORDER BY priority DESC, id LIMIT 1",
            ).fetchone()
            if row is None:
                return
            self._db.execute("DELETE FROM message WHERE id = ?", (row[0],))
            self._db.execute("UPDATE stream SET dropped = dropped + 1")
            self._bytes -= row[1]

    def waiting(self) -> list[Waiting]:
        """All messages to be sent now, in the order of their sequence: those without acknowledgement, then new ones.

        At most `in_flight` have a sequence at a time; the rest follow as acknowledgements come.
        """
        sent = self._sent()
        if len(sent) < self._in_flight and self._number(self._in_flight - len(sent)):
            sent = self._sent()
        return sent

    def _number(self, count: int) -> bool:
        """Give the next sequence numbers to up to `count` messages, events first."""
        rows = self._db.execute(
            "SELECT id, channel, body FROM message WHERE sequence IS NULL ORDER BY priority, id LIMIT ?", (count,)
        ).fetchall()
        if not rows:
            return False
        with self._transaction():
            first = int(self._db.execute("SELECT next_sequence FROM stream").fetchone()[0])
            for sequence, (identifier, channel, body) in enumerate(rows, first):
                numbered = self._stamp(channel, body, sequence)
                self._db.execute("UPDATE message SET sequence = ?, body = ? WHERE id = ?", (sequence, numbered, identifier))
                self._bytes += len(numbered) - len(body)
            self._db.execute("UPDATE stream SET next_sequence = ?", (first + len(rows),))
        return True

    def _stamp(self, channel: str, body: bytes, sequence: int) -> bytes:
        message = msgspec.json.decode(body, type=_KINDS[channel])
        return encode(msgspec.structs.replace(message, stream=self.stream, sequence=sequence))

    def _sent(self) -> list[Waiting]:
        rows = self._db.execute("SELECT sequence, channel, body FROM message WHERE sequence IS NOT NULL ORDER BY sequence")
        return [Waiting(sequence, Channel(channel), body) for sequence, channel, body in rows]

    def acknowledge(self, stream: str, committed_upto: int) -> int:
        """Forget what the server has; returns how many messages that were. Another stream's is ignored."""
        if stream != self.stream:
            return 0
        with self._transaction():
            count = self._db.execute("DELETE FROM message WHERE sequence <= ?", (committed_upto,)).rowcount
        if count:
            self._bytes = self._count_bytes()
        return count

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            self._bytes = self._count_bytes()
            raise

    def _count_bytes(self) -> int:
        return int(self._db.execute("SELECT coalesce(sum(length(body)), 0) FROM message").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
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


def _set_aside(path: Path) -> None:
    path.replace(path.with_name(f"{path.name}.damaged"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
