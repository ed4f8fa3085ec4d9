"""Rows of a CSV file with a header, replayed; columns go to the model's inputs by name, or all of them into the windows of a series."""

import contextlib
import csv
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import header_words
from edge_agent.sources.pace import Pace
from edge_agent.sources.readings import Readings, series_columns, takes_series
from edge_agent.sources.source import Item, Options, SourceDropped, SourceError, SourceSample, resolve, text_of_name

csv.field_size_limit(1 << 20)


class CsvOptions(Options, frozen=True):
    """`per_second` rows per second; `repeat` begins again at the end."""

    path: str
    per_second: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 1.0
    repeat: bool = True


class CsvSource:
    """See the module."""

    live_slots = 0

    def __init__(self, options: CsvOptions, spec: ModelSpec, data_folder: Path) -> None:
        self._options = options
        self._spec = spec
        self._path = resolve(options.path, data_folder)
        for _ in itertools.islice(read_rows(self._path, spec), 1):
            break

    async def items(self) -> AsyncGenerator[Item, None]:
        """One row after the other; one that does not fit is reported as dropped."""
        pace = Pace(self._options.per_second)
        while True:
            for row in read_rows(self._path, self._spec):
                await pace.wait()
                yield row
            if not self._options.repeat:
                return


def read_rows(path: Path, spec: ModelSpec, name: str = "") -> Iterator[SourceSample | SourceDropped]:
    """Samples of a CSV file, each named by `name` (by default the file's) and its line.

    Raises:
        SourceError: unreadable, no UTF-8, no rows, or without a column for one of the model's inputs.
    """
    rows = 0
    name = name or text_of_name(path.name)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            header = [str(name) for name in reader.fieldnames or ()]
            columns = series_columns(spec, header) if takes_series(spec) else [tensor.name for tensor in spec.inputs]
            if missing := [column for column in columns if column not in header]:
                raise SourceError(f"{name} has no column {', '.join(missing)[:120]}; it has {header_words(header)}{_hint(missing, header)}")
            if twice := [column for column in columns if header.count(column) > 1]:
                raise SourceError(f"{name} has the column {twice[0][:120]} more than once; which one is meant?")
            readings = Readings(spec, columns)
            for row in reader:
                rows += 1
                yield from _items(f"{name}:{reader.line_num}", row, readings)
    except UnicodeDecodeError as error:
        raise SourceError(f"{name} is not in UTF-8; save it as CSV in UTF-8") from error
    except (OSError, csv.Error) as error:
        raise SourceError(f"{name} can not be read as CSV: {error}") from error
    if not rows:
        raise SourceError(f"{name} has no rows")


def _hint(missing: Sequence[str], header: Sequence[str]) -> str:
    """What may be behind a column that is missing."""
    if any(map(_is_number, header)):
        return "; the first line must name the columns"
    wanted = {name.strip().lower() for name in missing}
    alike = [name for name in header if name.strip().lower() in wanted]
    return f"; {alike[0][:60]!r} differs from the name by spaces or capital letters" if alike else ""


def _is_number(cell: str) -> bool:
    with contextlib.suppress(ValueError):
        float(cell)
        return True
    return False


def _items(name: str, row: Mapping[str, str | None], readings: Readings) -> Iterator[SourceSample | SourceDropped]:
    if None in row or None in row.values():  # csv names what is too much None
        readings.interrupt()
        yield SourceDropped(name, f"the row has {'more' if None in row else 'fewer'} cells than the header")
        return
    try:
        sample = readings.take(row)
    except InputError as error:
        yield SourceDropped(name, str(error))
        return
    if sample is not None:
        yield SourceSample(name, sample)


def open_source(options: CsvOptions, spec: ModelSpec, data_folder: Path) -> CsvSource:
    """Open the file; raises `SourceError`."""
    return CsvSource(options, spec, data_folder)
