"""The bounded run: feed a door mutated seeds until the time or the rounds are over, and hold what must hold.

Each round is a value of (seed, door, round), so a failure can be had again. What must hold: nothing but the door's
own kinds of error, each in words; the process grows neither in memory nor in open descriptors.
"""

import collections
import contextlib
import gc
import logging
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.edge_agent.fuzz.mutations import mutate

GROWTH_MAX_BYTES = 48 << 20
WORDS_MAX = 8000

Take = Callable[[bytes], str]
"""Gives bytes to a door; returns why they were refused, in words, "" where they were taken."""


class Opened(NamedTuple):
    """A door that takes bytes now; `check` holds what must be true after all of them."""

    seeds: Sequence[bytes]
    take: Take
    refusals: tuple[type[Exception], ...] = ()
    check: Callable[[], None] = lambda: None


class Door(NamedTuple):
    """A way in. `open` is given an empty folder."""

    name: str
    open: Callable[[Path], AbstractContextManager[Opened]]


class Tally(NamedTuple):
    """What came of a run."""

    rounds: int
    taken: int
    refused: collections.Counter[str]
    grown_bytes: int


class FuzzError(AssertionError):
    """A door did what no door may do; says how to have it again. `data` is what it was given."""

    def __init__(self, words: str, data: bytes = b"") -> None:
        super().__init__(words)
        self.data = data


def fuzz(door: Door, folder: Path, *, seconds: float = 2.0, rounds: int = 1 << 30, seed: int = 0) -> Tally:
    """Open the door and feed it.

    Raises:
        FuzzError: an error that is not the door's own or has no words, or growth.
    """
    refused: collections.Counter[str] = collections.Counter()
    _pass_over_what_is_there()
    with _no_traceback(door), door.open(folder) as opened:
        for data in opened.seeds:
            _give(door, opened, data, f"seed {len(data)}")
        before = _footprint()
        deadline, count = time.monotonic() + seconds, 0
        while count < rounds and time.monotonic() < deadline:
            data = _bytes_of(door, opened.seeds, seed, count)
            refused[_give(door, opened, data, f"--door {door.name} --seed {seed} --round {count}")] += 1
            count += 1
            if count == min(200, rounds // 4):
                before = _footprint()  # caches are warm by now
        opened.check()
        grown = _check_growth(door, before)
    return Tally(count, refused.pop("", 0), refused, grown)


def _pass_over_what_is_there() -> None:
    """What the process holds already (libraries of a gigabyte, in a run of all tests) is never searched for garbage again.

    What others left open there is not held against this door.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.freeze()


def again(door: Door, folder: Path, *, seed: int, number: int) -> str:
    """One round of an earlier run, as far as its seeds are the same (keys and times are not); returns the refusal."""
    with door.open(folder) as opened:
        return opened.take(_bytes_of(door, opened.seeds, seed, number))


def give(door: Door, folder: Path, data: bytes) -> str:
    """These very bytes; returns the refusal."""
    with door.open(folder) as opened:
        return opened.take(data)


def _bytes_of(door: Door, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    chance = random.Random(f"{seed}:{door.name}:{number}")
    return mutate(chance.choice(seeds), chance)


def _give(door: Door, opened: Opened, data: bytes, name: str) -> str:
    """Returns the kind of the refusal, "" where it was taken."""
    try:
        words = opened.take(data)
    except opened.refusals as error:
        words = str(error)
        if not words.strip() or len(words) > WORDS_MAX:
            raise FuzzError(f"{name}: {door.name} refuses without words, or with {len(words)} characters: {words[:200]!r}", data) from error
        return type(error).__name__
    except Exception as error:
        raise FuzzError(f"{name}: {door.name} lets out {type(error).__name__}: {error!s:.300} for {data[:300]!r}", data) from error
    return words


class _Footprint(NamedTuple):
    bytes: int
    descriptors: int


def _footprint() -> _Footprint:
    gc.collect()
    process = psutil.Process()
    return _Footprint(process.memory_info().rss, process.num_fds() if hasattr(process, "num_fds") else 0)


def _check_growth(door: Door, before: _Footprint) -> int:
    deadline = time.monotonic() + 2.0
    while (after := _footprint()).descriptors > before.descriptors and time.monotonic() < deadline:
        time.sleep(0.02)  # the other end of a connection closes a little later
    grown = after.bytes - before.bytes
    if grown > GROWTH_MAX_BYTES:
        raise FuzzError(f"{door.name}: the process grew by {grown >> 20} MiB")
    if after.descriptors > before.descriptors:
        raise FuzzError(f"{door.name}: {after.descriptors - before.descriptors} descriptors were left open")
    return grown


class _Tracebacks(logging.Handler):
    """Keeps the first log line with a traceback, and what asyncio complains about; says nothing of the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        if not self.first and record.levelno >= logging.ERROR and (record.exc_info or record.name == "asyncio"):
            self.first = self.format(record)


@contextlib.contextmanager
def _no_traceback(door: Door) -> Iterator[None]:
    root, listening = logging.getLogger(), _Tracebacks()
    before, root.handlers = root.handlers, [listening]
    try:
        yield
    finally:
        root.handlers = before
    if listening.first:
        raise FuzzError(f"{door.name} logs a traceback: {listening.first[-1500:]}")
