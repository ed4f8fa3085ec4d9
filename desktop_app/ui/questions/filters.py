"""The filter line of the data page: words of a file's name, and `key:value` pairs."""

import difflib
import shlex

import msgspec

from desktop_app.data.catalogue import SampleQuery
from desktop_app.errors import DataError

KEYS = ("label", "split", "is", "sort")
STATES = {
    "unlabelled": {"labelled": False},
    "labelled": {"labelled": True},
    "excluded": {"excluded": True},
    "queued": {"queued": True},
    "conflict": {"conflict": True},
}
NO_SPLIT = "none"
ORDERS = ("mixed", "name", "newest", "score")
DEFAULT_ORDER = "mixed"


def parse_filter(line: str) -> SampleQuery:
    """Read `label:cat split:train is:queued sort:score words`.

    Raises:
        DataError: an unknown key or value, with the nearest known one.
    """
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.replace('"', " ").split()
    query, plain = SampleQuery(order=DEFAULT_ORDER), []
    for word in words:
        key, colon, value = word.partition(":")
        if colon and key in KEYS:
            query = msgspec.structs.replace(query, **_field(key, value))
        elif colon and key.isalpha() and value:
            raise DataError(_unknown("filter", key, KEYS))
        else:
            plain.append(word)
    return msgspec.structs.replace(query, text=" ".join(plain))


def _field(key: str, value: str) -> dict[str, object]:
    if key in {"label", "split"}:
        return {key: "" if (key, value) == ("split", NO_SPLIT) else value}
    if key == "sort":
        if value not in ORDERS:
            raise DataError(_unknown("order", value, ORDERS))
        return {"order": value}
    if value not in STATES:
        raise DataError(_unknown("state", value, tuple(STATES)))
    return dict(STATES[value])


def _unknown(what: str, got: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(got, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"there is no {what} {got[:40]!r}.{hint} Known: {', '.join(known)}."


def with_word(line: str, key: str, value: str) -> str:
    """The filter line with `key:value` in place of what it said of `key`; an empty value takes it away."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    kept = [word for word in words if not word.startswith(f"{key}:")]
    if value:
        kept.append(f"{key}:{value}")
    return " ".join(shlex.quote(word) if " " in word else word for word in kept)
