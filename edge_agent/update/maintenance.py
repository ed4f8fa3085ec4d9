"""Is a maintenance window open, and when does the next one open? Pure: the moment and the time zone are passed in.

A window is judged by the clock on the wall: an hour that summer time leaves out is not open, one
that comes twice is open twice. No window at all means always. Whatever the windows, the next
opening is at most `LONGEST_WAIT` away.
"""

import datetime
from collections.abc import Sequence

from contract.maintenance import DAY_MINUTES, MaintenanceWindow

LONGEST_WAIT = datetime.timedelta(days=15)
"""One week; a second where summer time leaves out the only window of the first; a day for the zone."""
_ZONE_CHANGES_BY = 180
"""Minutes: no time zone leaps farther at once."""
_MINUTE = datetime.timedelta(minutes=1)
_UTC = datetime.timezone.utc


def is_open(windows: Sequence[MaintenanceWindow], moment: datetime.datetime, zone: datetime.tzinfo | None = None) -> bool:
    """Whether one of `windows` is open at `moment` (aware); `zone` is the device's, None the system's."""
    return not windows or any(_is_open(window, _on_the_wall(window, moment, zone)) for window in windows)


def next_opening(windows: Sequence[MaintenanceWindow], moment: datetime.datetime, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    """The first moment (UTC, on the minute unless it is now) from `moment` on at which a window is open."""
    moment = moment.astimezone(_UTC)
    if is_open(windows, moment, zone):
        return moment
    found = moment.replace(second=0, microsecond=0) + _MINUTE
    while not is_open(windows, found, zone):
        found += _minutes_surely_closed(windows, found, zone) * _MINUTE
    return found


def find_closed(windows: Sequence[MaintenanceWindow], moment: datetime.datetime, zone: datetime.tzinfo | None = None) -> str:
    """When a window opens, in words; "" where one is open."""
    opening = next_opening(windows, moment, zone)
    return "" if opening == moment else f"opens {opening:%Y-%m-%d %H:%M} UTC"


def _minutes_surely_closed(windows: Sequence[MaintenanceWindow], moment: datetime.datetime, zone: datetime.tzinfo | None) -> int:
    """To the next beginning by the clock on the wall; less far where that clock is put forward or back on the way."""
    away = min(_minutes_to_begin(window, _on_the_wall(window, moment, zone)) for window in windows)
    changes = moment.astimezone(zone).utcoffset() != (moment + away * _MINUTE).astimezone(zone).utcoffset()
    return max(1, away - _ZONE_CHANGES_BY) if changes else away


def _on_the_wall(window: MaintenanceWindow, moment: datetime.datetime, zone: datetime.tzinfo | None) -> datetime.datetime:
    return moment.astimezone(zone if window.local else _UTC)


def _is_open(window: MaintenanceWindow, wall: datetime.datetime) -> bool:
    minute, length = 60 * wall.hour + wall.minute, _length(window)
    today = wall.weekday() in window.days and window.begins <= minute < window.begins + length
    return today or ((wall.weekday() - 1) % 7 in window.days and minute + DAY_MINUTES < window.begins + length)


def _length(window: MaintenanceWindow) -> int:
    """Minutes; a whole day where it ends when it begins."""
    return (window.ends - window.begins - 1) % DAY_MINUTES + 1


def _minutes_to_begin(window: MaintenanceWindow, wall: datetime.datetime) -> int:
    """By the clock on the wall, from now to when the window begins next: 1 minute to a week."""
    minute = 60 * wall.hour + wall.minute
    away = [((day - wall.weekday()) % 7) * DAY_MINUTES + window.begins - minute for day in window.days]
    return min(minutes if minutes > 0 else minutes + 7 * DAY_MINUTES for minutes in away)
