"""What every sink takes, and how it says how it does."""

from collections.abc import Callable, Collection
from typing import Protocol

import msgspec

from contract.codec import shorten
from edge_agent.sources.source import SourceError


class SinkError(SourceError):
    """A sink can not be opened or written."""


class RecordRefusedError(SinkError):
    """The owner's function failed with this record: it may be what a version answers, and is neither the disk nor a network."""


class Record(msgspec.Struct, frozen=True):
    """One prediction as it leaves the device's application. `at` is UTC, `latency_ms` the engine's, `rule` says which fired."""

    at: str
    source: str
    label: str
    score: float
    accepted: bool
    scores: list[float]
    latency_ms: float
    model: str
    version: int
    variant: str
    application: str
    rule: str = ""


class SinkHealth:
    """How a sink does. One thread at a time writes it; any may read.

    `is_broken`: the newest record was not taken; `reason` says why, and stays when it was taken after all.
    `offered`, `lost` and `refused` (of the lost ones, those for which the owner's function failed) count records
    since the sink was opened. What is in `queue` waits to be sent.
    """

    def __init__(self, name: str, queue: Collection[Record] = ()) -> None:
        """`name` is for people: kind and place."""
        self.name = name
        self.queue = queue
        self.is_broken = False
        self.reason = ""
        self.offered = self.lost = self.refused = 0
        self.on_broken: Callable[[], None] = lambda: None

    def fails(self, reason: object, *, lost: int = 1, refused: bool = False) -> None:
        """A record was not taken; `on_broken` is called, by this thread, where the one before was."""
        self.reason = " ".join(shorten(reason).split()).encode(errors="replace").decode()  # names of files may be no text
        self.lost += lost
        self.refused += lost if refused else 0
        if not self.is_broken:
            self.is_broken = True
            self.on_broken()

    def works(self) -> None:
        """A record was taken."""
        self.is_broken = False


class Sink(Protocol):
    """An opened sink."""

    health: SinkHealth

    def write(self, record: Record) -> None:
        """Take one record. That one was taken after others were not is said to `health` by the sink itself.

        Raises:
            SinkError: it is lost. (A sink with a queue says that to `health`, once it knows.)
        """

    def close(self) -> None:
        """Flush and let go."""


def offer(sink: Sink, record: Record) -> None:
    """Write a record; where it can not be written it is lost, and counted."""
    health = sink.health
    health.offered += 1
    try:
        sink.write(record)
    except SinkError as error:
        health.fails(error, refused=isinstance(error, RecordRefusedError))
