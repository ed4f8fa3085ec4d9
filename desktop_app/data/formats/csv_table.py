"""A table as CSV: delimiter, header and kinds found by looking; the target named by the user, or the last column.

The file is read twice: once to learn the columns (every row counts), once for its values. A row
that does not fit is refused with its line and the rest is taken.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from desktop_app.data.columns import CATEGORY, Column, build_row, check_columns
from desktop_app.data.formats.cell_values import parse_cell
from desktop_app.data.formats.csv_dialect import (
    DELIMITER_NAMES,
    HEAD_CHARACTERS,
    MIN_COLUMNS,
    find_delimiter,
    find_encoding,
    has_header,
    head_rows,
)
from desktop_app.data.formats.csv_profile import Profile, check_target, profile_rows
from desktop_app.data.formats.source import Format, ImportOptions, KnownColumns, OpenedSource, Refused, Taken
from desktop_app.data.plain_names import plain_name
from desktop_app.errors import SourceError
from desktop_app.jobs.context import Report

SUFFIXES = {".csv", ".tsv", ".txt", ".data"}
MAX_FILE_BYTES = 2 << 30
MAX_COLUMNS = 4096


class Table(NamedTuple):
    """How to read a table's rows; `skip` rows at the top are the header."""

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    skip: int


def recognises(path: Path) -> bool:
    """Whether `path` is a file called like a table."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def open_source(path: Path, options: ImportOptions, known: KnownColumns, report: Report) -> OpenedSource:
    """Learn the table's columns and prepare to read its rows.

    Raises:
        SourceError: it can not be read as a table, or its columns or target do not fit.
    """
    try:
        table = open_table(path, options)
        profile = profile_rows(read_rows(table), table.names, report)
    except OSError as error:
        raise SourceError(f"{plain_name(path.name)!r} can not be read: {error.strerror or error}", "Check its permissions.") from error
    target = find_target(table.names, options.target, known.target)
    columns = _choose_columns(table.names, profile, target, known)
    check_target(profile, target, chosen=bool(options.target or known.target))
    notes = _notes(table, profile, target, options)
    missing = {name: count for name, count in profile.missing.items() if count}
    items = _read_items(table, columns, target)
    return OpenedSource(profile.rows, "rows", items, "column", columns, target, notes, missing)


def open_table(path: Path, options: ImportOptions) -> Table:
    """Find encoding, delimiter and header.

    Raises:
        SourceError: empty, too large, not in the encoding, or no table.
        OSError: it can not be read.
    """
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise SourceError(f"{plain_name(path.name)!r} is empty (0 bytes)")
    if size_bytes > MAX_FILE_BYTES:
        raise SourceError(
            f"{plain_name(path.name)!r} has {size_bytes:,} bytes, at most {MAX_FILE_BYTES:,} are accepted", "Cut it into several files."
        )
    encoding = find_encoding(path, options.encoding)
    with path.open(encoding=encoding, newline="") as file:
        head = file.read(HEAD_CHARACTERS)
    delimiter = find_delimiter(head, options.delimiter)
    rows = head_rows(head, delimiter)
    if not rows:
        raise SourceError(f"{plain_name(path.name)!r} has no rows")
    header = has_header(rows) if options.header is None else options.header
    return Table(path, encoding, delimiter, _names(rows[0], header=header), int(header))


def _names(first: list[str], *, header: bool) -> tuple[str, ...]:
    """The columns' names: the header's, or `column_1` and so on.

    Raises:
        SourceError: too few or too many columns, or two with one name.
    """
    if not MIN_COLUMNS <= len(first) <= MAX_COLUMNS:
        raise SourceError(
            f"the table has {len(first)} columns; expected {MIN_COLUMNS} to {MAX_COLUMNS}", "Is the delimiter right? See --delimiter."
        )
    numbered = [f"column_{index}" for index in range(1, len(first) + 1)]
    if not header:
        return tuple(numbered)
    names = [plain_name(cell) or number for cell, number in zip(first, numbered, strict=True)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"two columns of the table are called {twice[0]!r}", "Give each column a name of its own.")
    return tuple(names)


def read_rows(table: Table) -> Iterator[tuple[int, list[str] | str]]:
    """Line and cells of each row that is not blank, or line and reason where a row can not be read."""
    with table.path.open(encoding=table.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=table.delimiter, skipinitialspace=True)
        skip = table.skip
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield reader.line_num, f"it can not be read: {error}"
                continue
            if cells is None:
                return
            if not cells or cells == [""]:
                continue
            if skip:
                skip -= 1
                continue
            yield reader.line_num, _checked(cells, len(table.names))


def _checked(cells: list[str], width: int) -> list[str] | str:
    if len(cells) != width:
        return f"it has {len(cells)} cells, expected {width}"
    return [cell.strip() for cell in cells]


def find_target(names: tuple[str, ...], wanted: str, known: str) -> str:
    """The target column: as wanted, as the project has it, else the last.

    Raises:
        SourceError: there is no such column; the message names those there are.
    """
    target = wanted or known or names[-1]
    if target not in names:
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")  # noqa: PLR2004  (as many as fit a line or two)
        raise SourceError(f"the table has no column {target!r}; it has {shown}", "Choose the target with --target.")
    return target


def _choose_columns(names: tuple[str, ...], profile: Profile, target: str, known: KnownColumns) -> tuple[Column, ...]:
    """The columns to keep, with the kinds the project has or the table shows; empty columns are left out."""
    kinds = {column.name: column.kind for column in known.features}
    if known.target:
        check_columns([name for name in names if profile.kinds[name] or name in kinds], target, known.features, known.target)
    else:
        kinds = {name: profile.kinds[name] for name in names if profile.kinds[name] and name != target}
    if not kinds:
        raise SourceError("the table has no column with values beside its target")
    return tuple(Column(name, CATEGORY if name == target else kinds[name]) for name in names if name == target or name in kinds)


def _notes(table: Table, profile: Profile, target: str, options: ImportOptions) -> tuple[str, ...]:
    """The guesses, in words, so that a user can correct them."""
    notes = []
    if not options.delimiter:
        notes.append(f"delimiter: {DELIMITER_NAMES[table.delimiter]}")
    if options.header is None:
        notes.append(
            "the first row names the columns" if table.skip else "there is no header: the columns are called column_1, column_2, …"
        )
    if not options.target:
        notes.append(f"target: {target!r} (choose another with --target)")
    notes += [f"column {name!r} has no values and was left out" for name in table.names if not profile.kinds[name] and name != target]
    return tuple(notes)


def _read_items(table: Table, columns: tuple[Column, ...], target: str) -> Iterator[Taken | Refused]:
    file_name = plain_name(table.path.name)
    places = [(table.names.index(column.name), column) for column in columns]
    for line, cells in read_rows(table):
        name = f"{file_name}:{line}"
        if isinstance(cells, str):
            yield Refused(name, cells)
            continue
        yield _read_row(name, cells, places, target)


def _read_row(name: str, cells: list[str], places: list[tuple[int, Column]], target: str) -> Taken | Refused:
    values: dict[str, float | int | str | None] = {}
    for index, column in places:
        try:
            values[column.name] = parse_cell(cells[index], column.kind)
        except ValueError as error:  # noqa: PERF203  (the loop ends at the first bad cell)
            return Refused(name, f"column {column.name!r}: {error}")
    row = build_row(values, target)
    return Taken(name, row.sha256, row.group_key, row.label, len(row.text), row=row.text)


FORMAT = Format("csv-table", "a table as CSV, one row per sample", "tabular-classification", recognises, open_source)
