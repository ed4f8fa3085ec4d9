"""Rows of a Parquet file, where the package pyarrow is installed; columns go to the model's inputs by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.readings import Readings, series_columns, takes_series
from edge_agent.sources.source import SourceDropped, SourceError, SourceSample, text_of_name

PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
ROWS_AT_ONCE = 1024


def read_parquet_rows(path: Path, spec: ModelSpec, name: str = "") -> Iterator[SourceSample | SourceDropped]:
    """Samples of a Parquet file, each named by `name` (by default the file's) and its row, from 1.

    Raises:
        SourceError: pyarrow is absent, or the file is unreadable, without rows, or without a column for one of the model's inputs.
    """
    name = name or text_of_name(path.name)
    arrow, file = _open(path, name)
    names = [str(column) for column in file.schema_arrow.names]
    wanted = series_columns(spec, names) if takes_series(spec) else [tensor.name for tensor in spec.inputs]
    missing = [column for column in wanted if column not in names]
    if missing:
        raise SourceError(f"{name} has no column {', '.join(missing)[:120]}; it has {', '.join(names)[:200]}")
    if not file.metadata.num_rows:
        raise SourceError(f"{name} has no rows")
    readings = Readings(spec, wanted if takes_series(spec) else ())
    number = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield from _items(f"{name}:{number}", row, readings)
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise SourceError(f"{name} can not be read as Parquet after row {number}: {str(error)[:200]}") from error


def _items(name: str, row: dict[str, Any], readings: Readings) -> Iterator[SourceSample | SourceDropped]:
    try:
        sample = readings.take({column: _cell(value) for column, value in row.items()})
    except InputError as error:
        yield SourceDropped(name, str(error))
        return
    if sample is not None:
        yield SourceSample(name, sample)


def _cell(value: Any) -> str | float | None:  # noqa: ANN401  (whatever a column holds)
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def count_parquet_rows(path: Path) -> int:
    """Rows of a file, 1 where it can not be read."""
    try:
        return max(1, int(_open(path, path.name)[1].metadata.num_rows))
    except SourceError:
        return 1


def _open(path: Path, name: str) -> tuple[Any, Any]:
    """The package and the opened file, which is called `name` in errors."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise SourceError(
            f"{name}: reading Parquet needs the package pyarrow, which is not installed: pip install pyarrow, or give a CSV file"
        ) from error
    try:
        return arrow, parquet.ParquetFile(path)
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise SourceError(f"{name} can not be read as Parquet: {str(error)[:200]}") from error
