"""Numbers as people read them: thousands with a thin space, always with their unit."""

import datetime
import unicodedata

from desktop_app.ui.translations.text import Text

NONE = "–"
_THIN = "\u202f"
_UNITS = ("B", "KB", "MB", "GB", "TB")


def count(number: int) -> str:
    """`15000` as `15 000`."""
    return f"{number:,}".replace(",", _THIN)


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as `77.8 %`."""
    return NONE if share is None else f"{share * 100:.{digits}f}{_THIN}%"


def points(change: float | None) -> str:
    """A difference of shares in percentage points as `−0.2` (the header has the unit)."""
    if change is None:
        return NONE
    rounded = round(change * 100, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def milliseconds(value: float | None) -> str:
    """`0.27 ms`, with three significant digits below ten."""
    if value is None:
        return NONE
    digits = 3 if value < 0.1 else 2 if value < 10 else 1  # noqa: PLR2004
    return f"{value:.{digits}f}{_THIN}ms"


def size(size_bytes: int | None) -> str:
    """`98 KB`; decimal units, as disks and networks count."""
    if size_bytes is None:
        return NONE
    value, unit = float(size_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or value >= 10 else 1  # noqa: PLR2004
    return f"{value:.{digits}f}{_THIN}{_UNITS[unit]}"


def duration(seconds: float) -> str:
    """`2 min 10 s`, `45 s`, `3 h 5 min`, in the language in force."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return str(Text("{h} h {m} min", h=hours, m=minutes))
    if minutes:
        return str(Text("{m} min {s} s", m=minutes, s=rest))
    return str(Text("{s} s", s=rest))


def local_time(iso: str) -> str:
    """An ISO 8601 time in UTC as local date and minute; what is no such time stays as it is."""
    try:
        moment = datetime.datetime.fromisoformat(iso.replace("Z", "+00:00"))
    except ValueError:
        return iso
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def one_line(text: str, limit: int = 200) -> str:
    """Text from outside on one line: control characters become visible, what is too long ends in `…`."""
    shown = "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" else "\N{SYMBOL FOR NEWLINE}" if c == "\n" else "\N{REPLACEMENT CHARACTER}"
        for c in text[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
