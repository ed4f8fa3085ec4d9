"""What every sink takes."""

from typing import Protocol

import msgspec

from edge_agent.sources.source import SourceError


class SinkError(SourceError):
    """A sink can not be opened or written."""


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


class Sink(Protocol):
    """An opened sink."""

    def write(self, record: Record) -> None:
        """Take one record; raises `SinkError`."""

    def close(self) -> None:
        """Flush and let go."""
