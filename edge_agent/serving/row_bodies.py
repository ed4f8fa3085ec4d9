"""Rows of a table as bodies: one as a JSON object `{"column": value, …}`, many as CSV with a header."""

import csv
import io
from collections.abc import Iterator

import msgspec
import numpy as np

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import header_words, row_sample

MAX_ROWS = 10_000


def decode_row(body: bytes, spec: ModelSpec) -> dict[str, np.ndarray]:
    """One row as raw inputs.

    Raises:
        InputError: no JSON object of numbers and texts, or columns are missing or unknown.
    """
    try:
        row = msgspec.json.decode(body, type=dict[str, float | str | None])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f'expected one row as {{"column": value}}: {error}') from error
    unknown = sorted(set(row) - {tensor.name for tensor in spec.inputs})
    if unknown:
        raise InputError(f"the model has no column {unknown[0][:60]!r}; it takes {', '.join(tensor.name for tensor in spec.inputs)[:300]}")
    return row_sample(row, spec)


def decode_csv(body: bytes, spec: ModelSpec) -> Iterator[dict[str, np.ndarray]]:
    """Rows of UTF-8 text with commas, the columns named by its first line; other columns than the model's are left alone.

    The samples are made one after the other while they are asked for: thousands of them take a while.

    Raises:
        InputError: no such text, a column is missing or comes twice, or more than 10,000 rows; later, where a row does not fit.
    """
    try:
        rows = list(_read_rows(body.decode("utf-8-sig")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the body is no CSV in UTF-8: {error}") from error
    _, header = rows[0] if rows else (1, [])
    wanted = [tensor.name for tensor in spec.inputs]
    wrong = [name for name in wanted if header.count(name) != 1]
    if wrong:
        raise InputError(f"the first line must name the column {wrong[0]!r} once; it names {header_words(header)}")
    if not rows[1:]:
        raise InputError("no rows follow the header")
    return (_sample(line, header, cells, spec) for line, cells in rows[1:])


def _read_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells, without empty lines."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    count = 0
    for cells in reader:
        if not cells:
            continue
        count += 1
        if count > MAX_ROWS + 1:
            raise InputError(f"the body has more than {MAX_ROWS} rows; send them in several requests")
        yield reader.line_num, cells


def _sample(line: int, header: list[str], cells: list[str], spec: ModelSpec) -> dict[str, np.ndarray]:
    if len(cells) != len(header):
        raise InputError(f"line {line} has {len(cells)} cells, the header has {len(header)}")
    try:
        return row_sample(dict(zip(header, cells, strict=True)), spec)
    except InputError as error:
        raise InputError(f"line {line}: {error}") from error
