"""Readings of sensors to samples: a line of numbers or a JSON object, one at a time or in windows of the last ones.

A model of rows (one input per column) answers for every reading. A model of a series has one float32
input (T, C): a sample is the last T readings of C values, the next one comes `hop` readings later.
"""

from collections import deque
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import Cell, row_sample
from edge_agent.sources.source import SourceError

_SERIES_AXES = 2
READING_MAX_BYTES = 64 * 1024


def takes_series(spec: ModelSpec) -> bool:
    """Whether the model takes windows of readings: one float32 input of two fixed axes."""
    if len(spec.inputs) != 1:
        return False
    tensor = spec.inputs[0]
    return tensor.dtype == "float32" and len(tensor.shape) == _SERIES_AXES and min(tensor.shape) > 0


def takes_rows(spec: ModelSpec) -> bool:
    """Whether the model takes one value per input."""
    return all(tensor.shape == (1,) for tensor in spec.inputs)


def series_columns(spec: ModelSpec, header: Sequence[str]) -> list[str]:
    """The columns of a table for a model of a series: all of them.

    Raises:
        SourceError: the table has another number of columns than a reading has values.
    """
    width = spec.inputs[0].shape[1]
    if len(header) != width:
        raise SourceError(f"the model takes {width} values per reading, the table has {len(header)} columns; leave out or add some")
    return list(header)


def decode_fields(body: bytes) -> dict[str, Cell]:
    """A reading as a JSON object of numbers and texts.

    Raises:
        InputError: it is none.
    """
    try:
        return msgspec.json.decode(body, type=dict[str, float | str | None])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f'expected a reading as {{"name": value}}: {error}') from error


class Readings:
    """Takes readings and gives samples. `columns` names the values of a line in order; empty: the model's own order."""

    def __init__(self, spec: ModelSpec, columns: Sequence[str] = (), hop: int = 1) -> None:
        """Raises SourceError where model and columns do not fit."""
        self._spec = spec
        self._hop = hop
        self._due = 0
        self._window: deque[list[float]] = deque()
        self._series = takes_series(spec)
        self.columns = tuple(columns) or self._own_columns()
        self._check(len(columns))

    def _own_columns(self) -> tuple[str, ...]:
        if self._series:
            return tuple(str(index) for index in range(self._spec.inputs[0].shape[1]))
        return tuple(tensor.name for tensor in self._spec.inputs)

    def _check(self, named: int) -> None:
        if self._series:
            width = self._spec.inputs[0].shape[1]
            if named not in {0, width}:
                raise SourceError(f"the model takes {width} values per reading, the options name {named} columns")
            return
        if not takes_rows(self._spec):
            raise SourceError("readings need a model with one value per input, or with one float32 input (T, C)")
        missing = [tensor.name for tensor in self._spec.inputs if tensor.name not in self.columns]
        if missing:
            raise SourceError(f"the options name no column {', '.join(missing)[:200]}, which the model takes")

    def take_line(self, line: str, separator: str) -> dict[str, np.ndarray] | None:
        """A line of values in the order of `columns`; raises as `take`.

        Raises:
            InputError: it has another number of values.
        """
        cells = [cell.strip() for cell in line.split(separator if separator != " " else None)]
        if len(cells) != len(self.columns):
            self.interrupt()
            raise InputError(f"the line has {len(cells)} values, expected {len(self.columns)}: {line[:80]!r}")
        return self.take(dict(zip(self.columns, cells, strict=True)))

    def take(self, fields: Mapping[str, Cell]) -> dict[str, np.ndarray] | None:
        """One reading by names; a sample where it completes one, else None.

        Raises:
            InputError: a value is missing or is no number; a window then begins anew.
        """
        if not self._series:
            return row_sample(fields, self._spec)
        try:
            values = [float(fields[name]) for name in self.columns]  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            self.interrupt()
            raise InputError(f"the reading has no usable value: {error}") from error
        return self._slide(values)

    def interrupt(self) -> None:
        """A reading was lost: a window holds only readings that followed one another."""
        self._window.clear()
        self._due = 0

    def _slide(self, values: list[float]) -> dict[str, np.ndarray] | None:
        tensor = self._spec.inputs[0]
        self._window.append(values)
        if len(self._window) < tensor.shape[0]:
            return None
        if len(self._window) > tensor.shape[0]:
            self._window.popleft()
        self._due -= 1
        if self._due > 0:
            return None
        self._due = self._hop
        return {tensor.name: np.array(self._window, np.float32)}
