"""Rows of a CSV file with a header, replayed; columns go to the model's inputs by name."""

import csv
import itertools
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import row_sample
from edge_agent.sources.pace import Pace
from edge_agent.sources.source import Item, Options, SourceDropped, SourceError, SourceSample, resolve

csv.field_size_limit(1 << 20)


class CsvOptions(Options, frozen=True):
    """`per_second` rows per second; `repeat` begins again at the end."""

    path: str
    per_second: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 1.0
    repeat: bool = True


class CsvSource:
    """See the module."""

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


def read_rows(path: Path, spec: ModelSpec) -> Iterator[SourceSample | SourceDropped]:
    """Samples of a CSV file, each named by its line.

    Raises:
        SourceError: unreadable, no UTF-8, no rows, or without a column for one of the model's inputs.
    """
    names = [tensor.name for tensor in spec.inputs]
    rows = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in names if name not in (reader.fieldnames or ())]
            if missing:
                raise SourceError(
                    f"{path.name} has no column {', '.join(missing)[:120]}; it has {', '.join(reader.fieldnames or ())[:200]}"
                )
            for row in reader:
                rows += 1
                yield _item(f"{path.name}:{reader.line_num}", row, spec)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path.name} can not be read as CSV: {error}") from error
    if not rows:
        raise SourceError(f"{path.name} has no rows")


def _item(name: str, row: Mapping[str, str | None], spec: ModelSpec) -> SourceSample | SourceDropped:
    if any(row[tensor.name] is None for tensor in spec.inputs):
        return SourceDropped(name, "the row has fewer cells than the header")
    try:
        return SourceSample(name, row_sample(row, spec))
    except InputError as error:
        return SourceDropped(name, str(error))


def open_source(options: CsvOptions, spec: ModelSpec, data_folder: Path) -> CsvSource:
    """Open the file; raises `SourceError`."""
    return CsvSource(options, spec, data_folder)
