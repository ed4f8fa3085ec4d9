"""What the columns of a table hold, learnt from every row: kinds, missing values, the target's values."""

from collections.abc import Iterable
from typing import NamedTuple

from desktop_app.data.columns import CATEGORY, FLOAT
from desktop_app.data.formats.cell_values import cell_kind, is_missing, wider
from desktop_app.errors import SourceError
from desktop_app.jobs.context import Report

MAX_CLASSES = 1000
MAX_GUESSED_NUMBERS = 20
CHECK_EVERY = 2000


class Profile(NamedTuple):
    """`rows` that can be read or not; per column its kind (empty: no values), missing cells, and values up to a bound."""

    rows: int
    kinds: dict[str, str]
    missing: dict[str, int]
    values: dict[str, set[str]]


def profile_rows(rows: Iterable[tuple[int, list[str] | str]], names: tuple[str, ...], report: Report) -> Profile:
    """Look at every row once; can be cancelled."""
    profile = Profile(0, dict.fromkeys(names, ""), dict.fromkeys(names, 0), {name: set() for name in names})
    count = 0
    for count, (_, cells) in enumerate(rows, start=1):
        if count % CHECK_EVERY == 0:
            report.check_cancelled()
        if not isinstance(cells, str):
            _note_cells(profile, names, cells)
    return profile._replace(rows=count)


def _note_cells(profile: Profile, names: tuple[str, ...], cells: list[str]) -> None:
    for name, cell in zip(names, cells, strict=True):
        if is_missing(cell):
            profile.missing[name] += 1
            continue
        if profile.kinds[name] != CATEGORY:
            profile.kinds[name] = wider(profile.kinds[name], cell_kind(cell))
        values = profile.values[name]
        if len(values) <= MAX_CLASSES:
            values.add(cell)


def check_target(profile: Profile, target: str, *, chosen: bool) -> None:
    """Refuse a target that holds no classes.

    Raises:
        SourceError: it has no values, too many, or (where it was guessed) fractions as a measurement has.
    """
    count = len(profile.values[target])
    advice = "Choose a column of classes with --target."
    if count == 0:
        raise SourceError(f"the target column {target!r} has no values", advice)
    if count > MAX_CLASSES:
        raise SourceError(f"the target column {target!r} has more than {MAX_CLASSES} different values: those are no classes", advice)
    if not chosen and profile.kinds[target] == FLOAT and count > MAX_GUESSED_NUMBERS:
        raise SourceError(f"the last column {target!r} holds {count} different numbers with fractions: those are no classes", advice)
