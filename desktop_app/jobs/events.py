"""What a job says while it runs: one JSON line per event."""

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="event"):
    """Base of all events."""


class Hello(Event, frozen=True, tag="hello"):
    """The child is alive; sent before anything heavy is imported."""

    job: str
    pid: int


class Progress(Event, frozen=True, tag="progress"):
    """`done` of `total` `unit`s are finished; `total` 0 where it is not known yet."""

    done: int
    total: int
    unit: str = ""
    text: str = ""


class Metric(Event, frozen=True, tag="metric"):
    """One value of a metric, as a curve shows it."""

    name: str
    value: float
    epoch: int | None = None
    step: int | None = None
    split: str = ""


class Message(Event, frozen=True, tag="message"):
    """A sentence for the user."""

    text: str


class Done(Event, frozen=True, tag="done"):
    """The last event of a job that went well; `result` is plain JSON data."""

    result: Any = None


class Failed(Event, frozen=True, tag="failed"):
    """The last event of a job that did not; `details` are for a bug report (traceback, end of the log)."""

    error: str
    advice: str = ""
    details: str = ""


class Cancelled(Event, frozen=True, tag="cancelled"):
    """The last event of a job that the user cancelled."""


AnyEvent = Hello | Progress | Metric | Message | Done | Failed | Cancelled
Outcome = Done | Failed | Cancelled
