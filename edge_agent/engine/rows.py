"""Rows of a table to raw inputs: one column per input, each of shape (1,)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from contract.manifest import TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec

Cell = str | float | None


def row_sample(row: Mapping[str, Cell], spec: ModelSpec) -> dict[str, np.ndarray]:
    """One row as raw inputs; an empty number is NaN, other columns are ignored.

    Raises:
        InputError: a column is missing, or holds no number where one is expected.
    """
    return {tensor.name: _cell(row, tensor) for tensor in spec.inputs}


def _cell(row: Mapping[str, Cell], tensor: TensorSpec) -> np.ndarray:
    if tensor.name not in row:
        raise InputError(f"the row has no column {tensor.name}")
    value = row[tensor.name]
    if tensor.dtype == "string":
        return np.array(["" if value is None else str(value)], object)
    try:
        number = math.nan if value in (None, "") else float(value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"column {tensor.name}: {str(value)[:40]!r} is no number") from error
    dtype = np.dtype(tensor.dtype)
    if math.isnan(number) and dtype.kind != "f":
        raise InputError(f"column {tensor.name} is empty, a number is needed")
    with np.errstate(over="ignore", invalid="ignore"):
        cell = np.array([number]).astype(dtype)
    if not _holds(cell, number):
        raise InputError(f"column {tensor.name}: {str(value)[:40]!r} does not fit into {tensor.dtype}; nothing is converted silently")
    return cell


def _holds(cell: np.ndarray, number: float) -> bool:
    """Whether the cell is the number: exactly where it holds integers, to its precision where it holds floats."""
    if cell.dtype.kind == "f":
        return bool(np.isfinite(cell[0])) == math.isfinite(number)
    return bool(cell[0] == number)


def header_words(header: Sequence[str]) -> str:
    """The columns that a table's first line names, for an error; with a hint where another mark than a comma stands between them."""
    hint = "; cells are separated by commas" if len(header) == 1 and any(mark in header[0] for mark in ";\t|") else ""
    return f"{', '.join(header)[:200] or 'nothing'}{hint}"
