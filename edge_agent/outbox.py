"""Events, windows and results of commands that wait for the server, in a SQLite file that survives a kill and a power cut.

A message gets its sequence number when it is first sent, not when it is made: so the numbers of one
stream have no gaps, whatever was dropped to keep the file small. Only the server's own
acknowledgement (`committed_upto`) removes a message; until then it is sent again.

A disk that is full or broken when the agent starts keeps nothing from it: the outbox then lives in memory, with a
stream of its own, and moves to its file as soon as that can be opened.

Updates' and the agent's own events are written at once. Windows, rules' events and acknowledgements
wait up to `hold_s` in memory and are written together: a kill loses at most those seconds of them.
"""

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from contract.codec import encode
from contract.commands import CommandResult
from contract.messages import Event, Window
from contract.topics import Channel
from edge_agent.outbox_file import PRIORITIES, Change, OutboxFile, Unsent, Waiting, is_disk_trouble

MAX_BYTES = 16 << 20
IN_FLIGHT = 100
HOLD_S = 2.0
HELD_MAX_BYTES = 256 << 10
IN_MEMORY_MAX_BYTES = 1 << 20
REOPEN_EVERY_S = 10.0
_LAST_URGENT = PRIORITIES.index("agent")

log = logging.getLogger(__name__)


class Outbox:
    """The outbox of one agent; used from one thread."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = MAX_BYTES,
        in_flight: int = IN_FLIGHT,
        hold_s: float = HOLD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open or make the file; a damaged one is set aside and a new stream begins."""
        self._max_bytes, self._in_flight, self._hold_s, self._clock = max_bytes, in_flight, hold_s, clock
        self._path = path
        self.trouble = ""  # why it lives in memory; empty where it does not
        self._reopen_s = 0.0
        self._file = self._open_file() or OutboxFile(None)
        self._sent = self._file.sent()
        self._held: list[Unsent] = []
        self._lost: list[int] = []  # priorities of what was dropped from memory
        self._acked_upto = 0
        self._changed_s = clock()
        self._trouble = ""

    @property
    def stream(self) -> str:
        """The file's id; another one after the file was lost."""
        return self._file.stream

    @property
    def drops(self) -> dict[str, int]:
        """How many messages of each kind (update, agent, window, rule) were dropped for want of space, since the file was made."""
        drops = self._file.dropped
        for priority in self._lost:
            drops[PRIORITIES[priority]] = drops.get(PRIORITIES[priority], 0) + 1
        return drops

    @property
    def dropped(self) -> int:
        """How many messages were dropped for want of space since the file was made."""
        return sum(self.drops.values())

    @property
    def depth(self) -> int:
        """How many messages wait, sent ones without acknowledgement included."""
        return len(self._sent) + self._file.unsent + len(self._held)

    @property
    def first_sequence(self) -> int:
        """The oldest sequence that is still held; the next one where none is."""
        return self._sent[0].sequence if self._sent else self._file.next_sequence

    @property
    def transactions(self) -> int:
        """How often something was written since the start."""
        return self._file.transactions

    def _open_file(self) -> OutboxFile | None:
        self._reopen_s = self._clock() + REOPEN_EVERY_S
        try:
            file = OutboxFile(self._path)
        except (OSError, sqlite3.Error) as error:
            if str(error) != self.trouble:
                log.error("The outbox can not be opened and lives in memory: %s", error)  # noqa: TRY400  (said in words)
            self.trouble = str(error) or type(error).__name__
            return None
        self.trouble = ""
        return file

    def _move_to_disk(self) -> None:
        """What waits in memory goes behind what the file holds, as if it had never been sent."""
        file = self._open_file() if self.trouble and self._clock() >= self._reopen_s else None
        if file is None:
            return
        log.info("The outbox can be opened again")
        known = [*self._file.all_unsent(), *self._held]
        self._file.close()
        self._file, self._sent, self._held, self._acked_upto = file, file.sent(), known, 0
        self._commit(0)

    def put(self, message: Event | Window | CommandResult) -> None:
        """Keep a message until the server has it; its stream and sequence are set when it is sent.

        Where the disk is full or broken it is kept in memory, as long as there is room.
        """
        unsent = _unsent(message)
        self._note_change()
        self._held.append(unsent)
        if unsent.priority <= _LAST_URGENT or sum(len(held.body) for held in self._held) > HELD_MAX_BYTES:
            self.flush()

    def flush_if_due(self) -> None:
        """Write what `waiting` has not taken up for a while, because nobody asks; cheap where there is nothing."""
        self._move_to_disk()
        if (self._held or self._acked_upto) and self._clock() - self._changed_s >= 2 * self._hold_s:
            self.flush()

    def flush(self) -> None:
        """Write all that is in memory, in one transaction."""
        self._commit(0)

    def waiting(self) -> list[Waiting]:
        """All messages to be sent now, in the order of their sequence: those without acknowledgement, then new ones.

        At most `in_flight` have a sequence at a time; the rest follow as acknowledgements come.
        """
        self._move_to_disk()
        due = bool(self._held) and self._clock() - self._changed_s >= self._hold_s
        room = self._in_flight - len(self._sent)
        if room > 0 and (self._file.unsent or due):
            self._commit(room)
        return list(self._sent)

    def acknowledge(self, stream: str, committed_upto: int) -> int:
        """Forget what the server has; returns how many messages that were. Another stream's is ignored, and more than was ever sent."""
        if stream != self.stream:
            return 0
        committed_upto = min(committed_upto, self._sent[-1].sequence if self._sent else 0)
        kept = [waiting for waiting in self._sent if waiting.sequence > committed_upto]
        count = len(self._sent) - len(kept)
        if count:
            self._note_change()
            self._sent, self._acked_upto = kept, max(self._acked_upto, committed_upto)
        return count

    def _note_change(self) -> None:
        if not self._held and not self._acked_upto:
            self._changed_s = self._clock()

    def _commit(self, number: int) -> None:
        """Write everything, and give up to `number` messages their sequence."""
        urgent = any(held.priority <= _LAST_URGENT for held in self._held)
        max_bytes = min(self._max_bytes, IN_MEMORY_MAX_BYTES) if self.trouble else self._max_bytes
        change = Change(max_bytes, self._acked_upto, tuple(self._held), tuple(self._lost), number, urgent)
        try:
            numbered = self._file.commit(change)
        except sqlite3.Error as error:
            self._bear(error)
            return
        self._held, self._lost, self._acked_upto, self._trouble = [], [], 0, ""
        self._sent += numbered

    def _bear(self, error: sqlite3.Error) -> None:
        """Nothing was written: wait for a better disk, or begin anew where the file is damaged."""
        if not is_disk_trouble(error) and isinstance(error, sqlite3.DatabaseError):
            self._begin_anew(error)
            return
        if str(error) != self._trouble:
            log.warning("The outbox can not be written and keeps what it can in memory: %s", error)
            self._trouble = str(error)
        self._changed_s = self._clock()
        self._drop_from_memory()

    def _drop_from_memory(self) -> None:
        size = sum(len(held.body) for held in self._held)
        for held in sorted(self._held, key=lambda one: -one.priority):  # sorting keeps age's order within a priority
            if size <= HELD_MAX_BYTES:
                return
            self._held.remove(held)
            self._lost.append(held.priority)
            size -= len(held.body)

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        """What is known in memory goes into a new file; what only the damaged one held stays there."""
        known = [_unsent_again(waiting) for waiting in self._sent] + self._held
        try:
            self._file.set_aside(error)
        except (OSError, sqlite3.Error):
            log.exception("The damaged outbox could not be set aside")
            return
        self._sent, self._acked_upto, self._held = [], 0, known
        self._commit(0)

    def close(self) -> None:
        """Write what is in memory and close the file."""
        if self._held or self._acked_upto or self._lost:
            self.flush()
        self._file.close()


def _unsent(message: Event | Window | CommandResult) -> Unsent:
    if isinstance(message, CommandResult):
        return Unsent(_LAST_URGENT, Channel.COMMAND_RESULT, encode(message))
    if isinstance(message, Window):
        return Unsent(PRIORITIES.index("window"), Channel.WINDOW, encode(message))
    kind = message.kind if message.kind in PRIORITIES else "agent"
    return Unsent(PRIORITIES.index(kind), Channel.EVENT, encode(message))


def _unsent_again(waiting: Waiting) -> Unsent:
    """A numbered message as one without a number, which comes first again."""
    return Unsent(0, waiting.channel, waiting.body)
