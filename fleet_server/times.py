"""Moments as seconds since 1970 (UTC) inside the server, as ISO 8601 outside; the clock is passed in."""

import datetime
import time
from collections.abc import Callable

from contract.codec import format_time, parse_time

Clock = Callable[[], float]
"""Gives the present moment in seconds since 1970; deadlines are such moments, so that they survive a restart."""

system_clock: Clock = time.time


def to_text(moment: float | None) -> str:
    """A moment as ISO 8601 in UTC; empty where there is none."""
    if moment is None:
        return ""
    return format_time(datetime.datetime.fromtimestamp(moment, tz=datetime.UTC))


def from_text(text: str) -> float:
    """The reverse of `to_text`.

    Raises:
        FormatError: not a time.
    """
    return parse_time(text).timestamp()


def to_datetime(moment: float) -> datetime.datetime:
    """A moment as an aware time without fractions of a second, as TUF wants its expiry."""
    return datetime.datetime.fromtimestamp(int(moment), tz=datetime.UTC)
