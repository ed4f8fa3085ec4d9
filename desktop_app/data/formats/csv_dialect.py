"""What a CSV file is like: its encoding, delimiter and whether its first row is a header. Found by looking, never assumed."""

import collections
import csv
from collections.abc import Sequence
from pathlib import Path

from desktop_app.data.columns import CATEGORY
from desktop_app.data.formats.cell_values import is_missing, kind_of
from desktop_app.errors import SourceError

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
HEAD_CHARACTERS = 64 * 1024
HEAD_ROWS = 1000
MIN_COLUMNS = 2
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def find_encoding(path: Path, wanted: str) -> str:
    """The encoding to read with: as wanted, by the byte order mark, else UTF-8 after a look at the whole file.

    Raises:
        SourceError: the encoding is unknown, or the file is not in it.
    """
    with path.open("rb") as file:
        mark = file.read(2)
    encoding = wanted or _BYTE_ORDER_MARKS.get(mark, "utf-8-sig")
    try:
        with path.open(encoding=encoding, newline="") as text:
            while text.read(1 << 20):
                pass
    except LookupError as error:
        raise SourceError(f"there is no encoding {encoding!r}") from error
    except UnicodeError as error:
        where = f" (byte {error.start:,} of a part)" if isinstance(error, UnicodeDecodeError) else ""
        advice = "Name the encoding with --encoding, for instance cp1252 or gb18030, or save the file as UTF-8."
        raise SourceError(f"{path.name!r} is not in the encoding {encoding.removesuffix('-sig')}{where}", advice) from error
    return encoding


def find_delimiter(head: str, wanted: str) -> str:
    """The delimiter that cuts most rows of `head` into the same number of cells, two at least.

    Raises:
        SourceError: none does.
    """
    if wanted:
        return wanted
    best = max(DELIMITERS, key=lambda delimiter: _evenness(head, delimiter))
    if _evenness(head, best)[0] == 0:
        raise SourceError(
            "the table has one column only; expected two at least, a feature and the target", "Name the delimiter with --delimiter."
        )
    return best


def _evenness(head: str, delimiter: str) -> tuple[float, int]:
    """Share of the rows with the commonest width, and that width; zero where it is one."""
    rows = head_rows(head, delimiter)
    if not rows:
        return 0.0, 0
    width, count = collections.Counter(len(row) for row in rows).most_common(1)[0]
    return (count / len(rows), width) if width >= MIN_COLUMNS else (0.0, width)


def head_rows(head: str, delimiter: str) -> list[list[str]]:
    """The rows of the file's beginning, without the last, which may be cut."""
    lines = head.splitlines(keepends=True)
    if len(head) >= HEAD_CHARACTERS and len(lines) > 1:
        lines = lines[:-1]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
            if row:
                rows.append([cell.strip() for cell in row])
            if len(rows) >= HEAD_ROWS:
                break
    except csv.Error:
        return rows
    return rows


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns.

    It does if a column is numeric below it and not in it; or, in a table of words alone, if its
    cells are all different, none of them occurs below it, and the words below repeat.
    """
    if len(rows) < MIN_COLUMNS:
        return False
    first, rest = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if not rest or any(is_missing(cell) for cell in first) or len(set(first)) < len(first):
        return False
    columns = list(zip(*rest, strict=True))
    kinds = [kind_of([cell for cell in column if not is_missing(cell)]) for column in columns]
    if any(kind not in {CATEGORY, ""} for kind in kinds):
        return any(kind not in {CATEGORY, ""} and kind_of([cell]) == CATEGORY for kind, cell in zip(kinds, first, strict=True))
    repeated = any(len(set(column)) <= len(column) / 2 for column in columns)
    return repeated and all(cell not in column for cell, column in zip(first, columns, strict=True))
