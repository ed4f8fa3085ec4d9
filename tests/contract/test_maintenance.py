"""How people write maintenance windows."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import FormatError
from contract.maintenance import DAYS, MaintenanceWindow, check_windows, parse_window

EVERY_DAY = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("22:00-06:00", MaintenanceWindow(EVERY_DAY, 1320, 360)),
        ("sat,sun 00:00-24:00", MaintenanceWindow(frozenset({5, 6}), 0, 1440)),
        ("mon-fri 01:30-04:00 local", MaintenanceWindow(frozenset(range(5)), 90, 240, local=True)),
        ("fri-mon,wed 02:00-02:01 utc", MaintenanceWindow(frozenset({4, 5, 6, 0, 2}), 120, 121)),
    ],
)
def test_what_is_understood(text: str, window: MaintenanceWindow) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected"),
        ("2:00-4:00", "expected"),
        ("02:00", "expected"),
        ("02:00-04:00 cet", "expected"),
        ("02:00-04:60", "04:60"),
        ("25:00-04:00", "25:00"),
        ("24:00-04:00", "write 00:00"),
        ("moon 02:00-04:00", "'moon'"),
        ("mon- 02:00-04:00", "'mon-'"),
        ("mon,,tue 02:00-04:00", "names no days"),
        ("٠٢:00-04:00", "expected"),
        ("mon," * 100 + "tue 02:00-04:00", "expected"),
    ],
)
def test_what_is_refused_says_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        parse_window(text)
    with pytest.raises(ValueError, match=words):
        check_windows(("02:00-03:00", text))


@given(st.text(max_size=80))
def test_any_text_is_a_window_or_refused(text: str) -> None:
    with contextlib.suppress(FormatError):
        parse_window(text)


@given(st.sets(st.sampled_from(DAYS), min_size=1), st.integers(0, 1439), st.integers(0, 1440))
def test_written_and_read_again(days: set[str], begins: int, ends: int) -> None:
    text = f"{','.join(sorted(days))} {begins // 60:02}:{begins % 60:02}-{ends // 60:02}:{ends % 60:02}"
    if len(text) <= 60:
        assert parse_window(text) == MaintenanceWindow(frozenset(map(DAYS.index, days)), begins, ends)
