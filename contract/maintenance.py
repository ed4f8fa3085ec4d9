"""Maintenance windows: when a device may download an update, and when it may activate one; as people write them."""

import re
from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec

from contract.errors import FormatError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW_MAX_CHARS = 60
WINDOW_PATTERN = r"^[a-z0-9:, -]{1,60}$"
DAY_MINUTES = 24 * 60
WindowText = Annotated[str, msgspec.Meta(pattern=WINDOW_PATTERN)]
WindowTexts = Annotated[tuple[WindowText, ...], msgspec.Meta(max_length=32)]
"""What `parse_window` reads; a struct that holds some calls `check_windows` when it is made."""
_FORM = re.compile(r"(?:(?P<days>[a-z,-]+) )?(?P<begins>\d\d:\d\d)-(?P<ends>\d\d:\d\d)(?: (?P<clock>utc|local))?", re.ASCII)
_EXPECTED = "expected [DAYS ]HH:MM-HH:MM[ utc| local], for example '22:00-06:00', 'sat,sun 00:00-24:00', 'mon-fri 01:30-04:00 local'"


class MaintenanceWindow(NamedTuple):
    """Daily from `begins` to `ends` (minutes after midnight) on the days on which it begins.

    Where `ends` is not after `begins` it ends on the next day. `local`: by the device's own clock
    and time zone, else by UTC.
    """

    days: frozenset[int]  # 0 is Monday
    begins: int
    ends: int
    local: bool = False


def parse_window(text: str) -> MaintenanceWindow:
    """A maintenance window as people write it.

    Raises:
        FormatError: it is none; the message says what was expected.
    """
    found = _FORM.fullmatch(text) if len(text) <= WINDOW_MAX_CHARS else None
    if found is None:
        raise FormatError(f"{text[:WINDOW_MAX_CHARS]!r} is no maintenance window: {_EXPECTED}")
    begins, ends = _minutes(found["begins"], text), _minutes(found["ends"], text)
    if begins == DAY_MINUTES:
        raise FormatError(f"the maintenance window {text!r} can not begin at 24:00; write 00:00")
    return MaintenanceWindow(_days(found["days"], text), begins, ends, found["clock"] == "local")


def check_windows(windows: Iterable[str]) -> None:
    """Raises ValueError for what is no maintenance window: the form in which msgspec takes it."""
    try:
        for text in windows:
            parse_window(text)
    except FormatError as error:
        raise ValueError(str(error)) from error


def _minutes(text: str, whole: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    if minutes > 59 or 60 * hours + minutes > DAY_MINUTES:  # noqa: PLR2004  (a clock's numbers)
        raise FormatError(f"{text} in the maintenance window {whole!r} is no time of day")
    return 60 * hours + minutes


def _days(text: str | None, whole: str) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, separator, last = part.partition("-")
        if first not in DAYS or (separator and last not in DAYS):
            raise FormatError(f"{part!r} in the maintenance window {whole!r} names no days; known are {', '.join(DAYS)}")
        begin = DAYS.index(first)
        length = (DAYS.index(last) - begin) % 7 if separator else 0
        found |= {(begin + step) % 7 for step in range(length + 1)}
    return frozenset(found)
