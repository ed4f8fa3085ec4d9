"""The capture process's side of the doorbells: who gets which frame, and what is dropped.

A worker gets a frame when it has asked for one, and the next when it has given that one back, so a
slot that is being read is never written. Frames go to the newest of the workers that take part: a new
version takes over between two frames, the old one only finishes what it has.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from edge_agent.frames.doorbell import Arrived, Doorbell
from edge_agent.frames.messages import (
    NAME_MAX,
    TEXT_MAX,
    Dropped,
    Ended,
    Frame,
    FromReader,
    Hello,
    Leave,
    Left,
    Notice,
    Pool,
    Ring,
    decode_from_reader,
    encode_ring,
)
from edge_agent.frames.shelf import PlainShelf, Sample, ShelfError, SlotShelf, Stored
from edge_agent.frames.slots import SlotPool
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice, SourceSample

READERS_AT_ONCE = 2  # during a swap
NEWS_MAX = 64
OVERRUN = "newer samples came before the model was free"
ENDED_WITH_IT = "its worker ended before it had an answer"

log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    frame: Frame
    stored: Stored


class _Reader:
    """One worker's end of a doorbell, as it is seen from here."""

    def __init__(self) -> None:
        self.doorbell: Doorbell | None = None
        self.takes_part = self.wants = self.left = False
        self.held: _Waiting | None = None
        self.pool: SlotPool | None = None  # the last one that it was told of

    def ring(self, message: Ring, payload: tuple[memoryview, ...] = (), descriptor: int = -1) -> bool:
        return self.doorbell is not None and self.doorbell.ring(encode_ring(message), payload, descriptor)


class FrameGiver:
    """See the module. `live_slots`: so many samples of a live source may wait, then the oldest makes room; 0: a file, which waits."""

    def __init__(self, live_slots: int, *, plain: bool, on_first: Callable[[], None] = lambda: None) -> None:
        """`on_first` is called once, when the first sample came."""
        self.live_slots = live_slots
        slots = max(1, live_slots) + READERS_AT_ONCE
        self._shelf = PlainShelf(slots) if plain else SlotShelf(slots)
        self._on_first = on_first
        self._epoch = int.from_bytes(os.urandom(7), "big")
        self._sequence = 0
        self._readers: list[_Reader] = []
        self._waiting: deque[_Waiting] = deque()
        self._dropped: dict[str, SourceDropped] = {}
        self._notices: deque[SourceNotice] = deque(maxlen=NEWS_MAX)
        self._trouble: SourceNotice | None = None  # as long as it lasts
        self._end: Ended | None = None
        self._lock = threading.RLock()  # between the event loop and the thread of a live source
        self._room = asyncio.Event()
        self._room.set()

    # From the source, on whatever thread it captures

    def take(self, item: Item) -> None:
        """Whatever comes from it; never waits for a worker."""
        with self._lock:
            if isinstance(item, SourceSample):
                self.offer(item.name, item.sample)
            elif isinstance(item, SourceDropped):
                self.drop(item)
            else:
                self.notice(item)

    def offer(self, name: str, sample: Sample) -> None:
        """Take a sample; never waits."""
        if not self._sequence:
            self._on_first()
        self._trouble = None
        self._sequence += 1
        if self.live_slots and len(self._waiting) >= self.live_slots:
            self._drop_waiting()
        try:
            stored = self._shelf.store(sample)
        except ShelfError as error:
            self.drop(SourceDropped(name, str(error)))
            return
        if stored is None:
            self.drop(SourceDropped(name, OVERRUN))
            return
        frame = Frame(self._epoch, self._sequence, name[:NAME_MAX], stored.tensors, time.monotonic_ns())
        self._waiting.append(_Waiting(frame, stored))
        self._give()

    async def wait_for_room(self) -> None:
        """For sources that can wait: until another sample may come."""
        while self._waiting:
            self._room.clear()
            await self._room.wait()

    def drop(self, item: SourceDropped) -> None:
        """Say that samples were lost; the same words are said once, with their number."""
        reason = item.reason[:TEXT_MAX] if item.reason in self._dropped or len(self._dropped) < NEWS_MAX else "other reasons"
        before = self._dropped.get(reason)
        self._dropped[reason] = SourceDropped(item.name[:NAME_MAX], reason, item.amount + (before.amount if before else 0))
        self._give()

    def notice(self, item: SourceNotice) -> None:
        """Say that the source has trouble, or is over it."""
        self._trouble = item
        self._notices.append(item)
        self._give()

    def end(self, error: SourceError | None) -> None:
        """Nothing more comes; what waits is still given."""
        with self._lock:
            self._end = Ended(str(error)[:TEXT_MAX] if error is not None else "")
            self._give()

    def _drop_waiting(self) -> None:
        oldest = self._waiting.popleft()
        oldest.stored.free()
        self.drop(SourceDropped(oldest.frame.name, OVERRUN))

    # To the workers

    def join(self, open_end: Callable[[Callable[[Arrived], None], Callable[[], None]], Doorbell]) -> None:
        """Another worker's doorbell; `open_end` opens it with the two functions that hear it."""
        reader = _Reader()
        with self._lock:
            self._readers.append(reader)
            reader.doorbell = open_end(lambda arrived: self._hear(reader, arrived), lambda: self._lose(reader))
            reader.ring(Hello(self._epoch))

    def _hear(self, reader: _Reader, arrived: Arrived) -> None:
        if arrived.descriptor >= 0:
            os.close(arrived.descriptor)
        try:
            message = decode_from_reader(arrived.message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.error("a worker speaks nonsense and gets no more frames: %s", error)  # noqa: TRY400
            if reader.doorbell is not None:
                reader.doorbell.close()
            return
        with self._lock:
            self._obey(reader, message)
            self._give()

    def _obey(self, reader: _Reader, message: FromReader) -> None:
        if isinstance(message, Leave):
            reader.left, reader.takes_part = True, False
            reader.ring(Left())
        elif message.epoch == self._epoch:
            self._free(reader, message.sequence)
            reader.wants = reader.held is None
            if not reader.takes_part and not reader.left:
                self._let_take_part(reader)

    def _let_take_part(self, reader: _Reader) -> None:
        """From now on; trouble that lasts is said to whoever comes."""
        reader.takes_part = True
        if self._trouble is not None and self._trouble not in self._notices:
            self._notices.append(self._trouble)

    @staticmethod
    def _free(reader: _Reader, sequence: int) -> None:
        if reader.held is not None and reader.held.frame.sequence == sequence:
            reader.held.stored.free()
            reader.held = None

    def _lose(self, reader: _Reader) -> None:
        """The worker is gone, or speaks nonsense."""
        with self._lock:
            self._readers.remove(reader)
            held, reader.held = reader.held, None
            if held is not None:
                held.stored.free()
                self.drop(SourceDropped(held.frame.name, ENDED_WITH_IT))
            self._give()

    def _give(self) -> None:
        """What waits, to the newest reader, if it is free."""
        reader = next((one for one in reversed(self._readers) if one.takes_part), None)
        if reader is None or not reader.wants:
            return
        self._tell_news(reader)
        if self._waiting:
            reader.wants = False
            if self._give_frame(reader, self._waiting[0]):
                reader.held = self._waiting.popleft()
                if not self.live_slots:  # a file, which is read on the event loop
                    self._room.set()
        elif self._end is not None:
            reader.wants = False
            reader.ring(self._end)

    def _tell_news(self, reader: _Reader) -> None:
        for lost in self._dropped.values():
            reader.ring(Dropped(*lost))
        self._dropped.clear()
        while self._notices:
            one = self._notices.popleft()
            reader.ring(Notice(one.text[:TEXT_MAX], one.failed))

    @staticmethod
    def _give_frame(reader: _Reader, waiting: _Waiting) -> bool:
        """Whether it could be sent: a worker that died while it had nothing loses nothing."""
        pool = waiting.stored.room
        if isinstance(pool, SlotPool) and pool is not reader.pool:
            reader.ring(Pool(pool.size_bytes), descriptor=pool.descriptor)
            reader.pool = pool
        return reader.ring(waiting.frame, waiting.stored.payload)
