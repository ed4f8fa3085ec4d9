"""The rule of maintenance windows: over midnight, through summer time, and never without an end."""

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.maintenance import MaintenanceWindow, parse_window
from edge_agent.update.maintenance import LONGEST_WAIT, is_open, next_opening

UTC, BERLIN = datetime.timezone.utc, ZoneInfo("Europe/Berlin")
MINUTE = datetime.timedelta(minutes=1)
NAMES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Antarctica/Troll")
ZONES = [UTC, *(ZoneInfo(name) for name in NAMES)]

days = st.frozensets(st.integers(0, 6), min_size=1)
windows = st.builds(MaintenanceWindow, days, st.integers(0, 1439), st.integers(0, 1440), st.booleans())
moments = st.integers(0, 2 * 366 * 86400).map(lambda seconds: at("2026-01-01 00:00:00") + datetime.timedelta(seconds=seconds))
zones = st.sampled_from(ZONES)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "moment", "expected"),
    [
        ("02:00-04:00", "2026-06-10 01:59:59", False),
        ("02:00-04:00", "2026-06-10 02:00:00", True),
        ("02:00-04:00", "2026-06-10 03:59:59", True),
        ("02:00-04:00", "2026-06-10 04:00:00", False),
        ("22:00-06:00", "2026-06-10 23:00:00", True),
        ("22:00-06:00", "2026-06-10 05:59:00", True),
        ("22:00-06:00", "2026-06-10 06:00:00", False),
        ("sat 22:00-06:00", "2026-06-13 23:00:00", True),  # a Saturday
        ("sat 22:00-06:00", "2026-06-14 05:00:00", True),  # it began on Saturday
        ("sat 22:00-06:00", "2026-06-13 05:00:00", False),
        ("sat,sun 00:00-24:00", "2026-06-14 23:59:59", True),
        ("sat,sun 00:00-24:00", "2026-06-15 00:00:00", False),
        ("wed 12:00-12:00", "2026-06-11 11:59:00", True),  # a whole day
        ("02:00-04:00 local", "2026-06-10 00:30:00", True),  # 02:30 in Berlin
        ("02:00-04:00 local", "2026-06-10 02:30:00", False),
        ("02:00-03:00 local", "2026-03-29 01:00:00", False),  # 03:00: the hour is left out
        ("02:00-03:00 local", "2026-10-25 00:30:00", True),  # it comes twice
        ("02:00-03:00 local", "2026-10-25 01:30:00", True),
    ],
)
def test_open_or_not(window: str, moment: str, expected: bool) -> None:
    assert is_open([parse_window(window)], at(moment), BERLIN) is expected


@pytest.mark.parametrize(
    ("texts", "moment", "expected"),
    [
        (["02:00-04:00"], "2026-06-10 04:00:00", "2026-06-11 02:00:00"),
        (["02:00-04:00", "12:00-13:00"], "2026-06-10 04:00:10", "2026-06-10 12:00:00"),
        (["sun 03:00-04:00"], "2026-06-14 04:00:00", "2026-06-21 03:00:00"),
        (["02:30-04:00 local"], "2026-03-28 23:00:00", "2026-03-29 01:00:00"),  # 03:00, when the clock was put forward
        (["sun 02:00-03:00 local"], "2026-03-28 12:00:00", "2026-04-05 00:00:00"),  # left out that night
    ],
)
def test_the_next_opening(texts: list[str], moment: str, expected: str) -> None:
    assert next_opening([parse_window(text) for text in texts], at(moment), BERLIN) == at(expected)


def test_no_window_means_always() -> None:
    moment = at("2026-06-10 02:00:00")
    assert is_open([], moment)
    assert next_opening([], moment) == moment


@given(st.lists(windows, min_size=1, max_size=4), moments, zones)
def test_no_wait_is_without_an_end_and_it_ends_when_a_window_opens(
    found: list[MaintenanceWindow], moment: datetime.datetime, zone: datetime.tzinfo
) -> None:
    opening = next_opening(found, moment, zone)
    assert moment <= opening <= moment + LONGEST_WAIT
    assert is_open(found, opening, zone)
    if opening != moment:
        assert not is_open(found, moment, zone)
        assert not is_open(found, opening - MINUTE, zone)
        assert next_opening(found, opening - MINUTE, zone) == opening


@settings(max_examples=25)
@given(windows, st.sampled_from(["2026-03-28 20:00:00", "2026-10-24 20:00:00", "2026-03-07 20:00:00", "2026-04-04 10:00:00"]), zones)
def test_nothing_opens_earlier_around_a_change_of_the_clock(window: MaintenanceWindow, begin: str, zone: datetime.tzinfo) -> None:
    moment = at(begin)
    by_the_minute = next((m for m in (moment + n * MINUTE for n in range(2 * 1440)) if is_open([window], m, zone)), None)
    opening = next_opening([window], moment, zone)
    assert opening == by_the_minute if by_the_minute else opening > moment + datetime.timedelta(days=2) - MINUTE


@given(windows, moments)
def test_the_systems_own_zone_works_too(window: MaintenanceWindow, moment: datetime.datetime) -> None:
    assert next_opening([window], moment) <= moment + LONGEST_WAIT
