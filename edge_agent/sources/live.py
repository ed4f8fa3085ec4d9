"""What all live sources share: capture on a thread of its own, a few slots, the oldest dropped and counted.

A capture function opens its device and puts samples into the `Mailbox` until it is told to stop. It
never waits for the model: where the slots are full the oldest sample makes room. When it fails or
comes to an end it is called again, after waits that grow; trouble that lasts is said once, and so is
its end. Sources that replay a file use the same thread, but wait for room and do come to an end.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import NamedTuple

import numpy as np

from edge_agent.engine.errors import InputError
from edge_agent.sources.silence import Silence
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice, SourceSample

JOIN_S = 1.0

log = logging.getLogger(__name__)


class LivePolicy(NamedTuple):
    """How a live source is handled: `slots` samples may wait; trouble is said after `patience_s`.

    A device that is open may give nothing for `silent_s` before that is said; 0: for as long as it likes.
    """

    slots: int = 1
    backoff_first_s: float = 0.2
    backoff_last_s: float = 30.0
    patience_s: float = 5.0
    silent_s: float = 0.0


class Mailbox:
    """Between the capture thread, which puts, and the event loop, which takes."""

    def __init__(self, name: str, slots: int, loop: asyncio.AbstractEventLoop, deliver: Callable[[Item], None] | None = None) -> None:
        """`deliver` gets whatever comes at once, on the capture thread, in place of whoever takes; it must not block."""
        self.name = name
        self._deliver = deliver
        self.put_count = 0
        self.owed_since_s: float | None = None  # the device has given nothing since; None between two tries
        self.stopped = threading.Event()
        self._slots = slots
        self._loop = loop
        self._room = threading.Condition()
        self._samples: deque[SourceSample] = deque()
        self._others: list[SourceDropped | SourceNotice] = []
        self._overrun = 0
        self._trouble_told = False
        self._error: SourceError | None = None
        self._ended = False
        self._news = asyncio.Event()
        self._on_stop: list[Callable[[], None]] = []

    def put(self, name: str, sample: dict[str, np.ndarray]) -> None:
        """Leave a sample; where the slots are full the oldest is dropped and counted. Never blocks."""
        with self._room:
            if len(self._samples) >= self._slots:
                self._samples.popleft()
                self._overrun += 1
            self._add(SourceSample(name, sample))
        self._tell()

    def put_in_turn(self, name: str, sample: dict[str, np.ndarray]) -> bool:
        """Leave a sample once there is room, for sources that can wait; False when told to stop."""
        with self._room:
            while len(self._samples) >= self._slots:
                if self.stopped.is_set():
                    return False
                self._room.wait(0.2)
            self._add(SourceSample(name, sample))
        self._tell()
        return True

    def stir(self) -> None:
        """Say that the device gave something, be it no sample yet."""
        self.owed_since_s = time.monotonic()

    def drop(self, name: str, reason: str) -> None:
        """Say that something came that is no sample."""
        self.stir()
        with self._room:
            self._others.append(SourceDropped(name, reason))
        self._tell()

    def put_built(self, name: str, build: Callable[[], dict[str, np.ndarray] | None], *, in_turn: bool = False) -> bool:
        """Leave what `build` gives, or say why it gives none; False when told to stop."""
        try:
            sample = build()
        except InputError as error:
            self.drop(name, str(error))
            return not self.stopped.is_set()
        if sample is None:
            return not self.stopped.is_set()
        if in_turn:
            return self.put_in_turn(name, sample)
        self.put(name, sample)
        return not self.stopped.is_set()

    def tell_trouble(self, text: str, *, failed: bool) -> None:
        """Say that no samples come, and why; the next sample says that it is over."""
        with self._room:
            self._trouble_told = True
            self._others.append(SourceNotice(text, failed))
        self._tell()

    def end(self, error: SourceError | None) -> None:
        """Nothing more comes."""
        with self._room:
            self._ended, self._error = True, error
        self._tell()

    async def take(self) -> list[Item] | None:
        """What came, at most one sample, which is last; None at the end.

        Raises:
            SourceError: the source failed for good.
        """
        await asyncio.sleep(0)  # a source that always has more must not keep the event loop from its other work
        while True:
            self._news.clear()
            with self._room:
                found = self._pick()
                if not found and self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
            if found:
                return found
            await self._news.wait()

    def stop(self) -> None:
        """Let the capture end."""
        with self._room:
            self.stopped.set()
            self._room.notify_all()
            on_stop, self._on_stop = self._on_stop, []
        for function in on_stop:
            function()

    @contextlib.contextmanager
    def ending_with(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when told to stop within the block, so that a read under way returns."""
        with self._room:
            stopped = self.stopped.is_set()
            if not stopped:
                self._on_stop.append(end)
        if stopped:
            end()
        try:
            yield
        finally:
            with self._room:
                self._on_stop = [function for function in self._on_stop if function != end]

    def _add(self, sample: SourceSample) -> None:
        self.put_count += 1
        self.stir()
        self._samples.append(sample)
        if self._trouble_told:
            self._trouble_told = False
            self._others.append(SourceNotice(f"{self.name} gives samples again"))

    def _pick(self) -> list[Item]:
        found: list[Item] = [*self._others]
        self._others.clear()
        if self._overrun:
            found.append(SourceDropped(self.name, "newer samples came before the model was free", self._overrun))
            self._overrun = 0
        if self._samples:
            found.append(self._samples.popleft())
            self._room.notify()
        return found

    def _tell(self) -> None:
        if self._deliver is not None:
            with self._room:
                found = self._pick()
            for item in found:
                self._deliver(item)
            if not self._ended:
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._news.set)


Capture = Callable[[Mailbox], None]
"""Puts samples until `stopped` is set, the source ends, or it raises `SourceError`."""


class ThreadedSource:
    """A source that captures on a thread. `policy` None: it ends when its capture ends, and fails when that fails."""

    def __init__(self, name: str, capture: Capture, policy: LivePolicy | None) -> None:
        self.live_slots = 0 if policy is None else policy.slots
        self._name = name
        self._capture = capture
        self._policy = policy
        self._box: Mailbox | None = None

    @property
    def silent_s(self) -> float:
        """For how long the device of a live source has given nothing; 0 between two tries, and for a file."""
        since_s = self._box.owed_since_s if self._box is not None and self._policy is not None else None
        return time.monotonic() - since_s if since_s is not None else 0.0

    async def items(self) -> AsyncGenerator[Item, None]:
        """Samples, losses and trouble as they come."""
        slots = 1 if self._policy is None else self._policy.slots
        box = Mailbox(self._name, slots, asyncio.get_running_loop())
        watch = asyncio.create_task(self._watch_silence(box), name=f"silence-{self._name}"[:60])
        try:
            async with aclosing(self._items_of(box)) as items:
                async for item in items:
                    yield item
        finally:
            watch.cancel()
            await asyncio.wait([watch])

    async def _watch_silence(self, box: Mailbox) -> None:
        """Say that the device stalls: nobody else notices, since neither a sample nor an error comes."""
        if self._policy is None or not self._policy.silent_s:
            return
        silence = Silence(self._name, self._policy.silent_s, time.monotonic())
        while True:
            await asyncio.sleep(silence.look_every_s)
            told = silence.look(time.monotonic(), self.silent_s, has_given=bool(box.put_count))
            if told is not None:
                box.tell_trouble(told.text, failed=told.failed)

    async def _items_of(self, box: Mailbox) -> AsyncGenerator[Item, None]:
        run = self._run_once if self._policy is None else self._run_live
        thread = threading.Thread(target=run, args=(box,), name=f"source-{self._name}"[:60], daemon=True)
        self._box = box
        thread.start()
        try:
            while (found := await box.take()) is not None:
                for item in found:
                    yield item
        finally:
            box.stop()
            await asyncio.to_thread(thread.join, JOIN_S)

    async def deliver(self, take: Callable[[Item], None]) -> None:
        """Give everything to `take` as it comes, on the capture thread; for live sources, whose `take` makes room itself."""
        async with aclosing(self._items_of(Mailbox(self._name, 1, asyncio.get_running_loop(), take))) as items:
            async for _ in items:
                pass

    def _run_once(self, box: Mailbox) -> None:
        box.end(self._attempt(box))

    def _run_live(self, box: Mailbox) -> None:
        policy = self._policy or LivePolicy()
        tries, begun_s, told = 0, time.monotonic(), False
        while not box.stopped.is_set():
            before = box.put_count
            error = self._attempt(box)
            if box.put_count > before:
                tries, begun_s, told = 0, time.monotonic(), False
            if not told and time.monotonic() - begun_s >= policy.patience_s:
                told = True
                box.tell_trouble(f"{error or f'{self._name} came to its end'}; it is tried again", failed=not box.put_count)
            box.stopped.wait(min(policy.backoff_last_s, policy.backoff_first_s * 2.0 ** min(tries, 20)))
            tries += 1

    def _attempt(self, box: Mailbox) -> SourceError | None:
        """Capture until it ends; returns what went wrong."""
        box.stir()
        try:
            self._capture(box)
        except SourceError as error:
            return error
        except Exception as error:  # a device's library may raise anything
            log.exception("The source %s failed", self._name)
            return SourceError(f"{self._name} failed: {type(error).__name__}: {error}")
        finally:
            box.owed_since_s = None
        return None
