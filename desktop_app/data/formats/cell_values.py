"""The cells of a table: what counts as missing, which kind a column has, text to values."""

import re
from collections.abc import Iterable

from desktop_app.data.columns import CATEGORY, FLOAT, INTEGER

MISSING = frozenset({"", "?", "NA", "N/A", "na", "n/a", "NaN", "nan", "NULL", "null"})
MAX_INTEGER = 2**53
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,15})")
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,60}|\.[0-9]{1,60})(?:[eE][+-]?[0-9]{1,3})?")
_CODE = re.compile(r"[+-]?0[0-9]+")  # 007 is a code, no number


def is_missing(cell: str) -> bool:
    """Whether a cell (without space around it) holds no value."""
    return cell in MISSING


def cell_kind(cell: str) -> str:
    """The narrowest kind that holds a cell: integer, float or category."""
    if _INTEGER.fullmatch(cell) and abs(int(cell)) <= MAX_INTEGER:
        return INTEGER
    if _FLOAT.fullmatch(cell) and not _CODE.fullmatch(cell) and abs(float(cell)) != float("inf"):
        return FLOAT
    return CATEGORY


def wider(first: str, second: str) -> str:
    """The kind that holds both; empty is narrower than all."""
    order = ("", INTEGER, FLOAT, CATEGORY)
    return max(first, second, key=order.index)


def kind_of(cells: Iterable[str]) -> str:
    """The narrowest kind that holds all cells; empty without cells."""
    kind = ""
    for cell in cells:
        kind = wider(kind, cell_kind(cell))
        if kind == CATEGORY:
            break
    return kind


def parse_cell(cell: str, kind: str) -> float | int | str | None:
    """The value of a cell; None where it is missing.

    Raises:
        ValueError: the cell does not hold a value of this kind; the message says what came.
    """
    if is_missing(cell):
        return None
    if kind == CATEGORY:
        return cell
    if wider(cell_kind(cell), kind) != kind:
        expected = "a whole number" if kind == INTEGER else "a number"
        raise ValueError(f"expected {expected}, got {cell[:40]!r}")
    return int(cell) if kind == INTEGER else float(cell)
