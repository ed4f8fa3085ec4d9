"""Rows of a table to raw inputs: one column per input, each of shape (1,)."""

import math
from collections.abc import Mapping

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
        if math.isnan(number) and np.dtype(tensor.dtype).kind != "f":
            raise InputError(f"column {tensor.name} is empty, a number is needed")
        return np.array([number]).astype(tensor.dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"column {tensor.name}: {str(value)[:40]!r} is no number") from error
