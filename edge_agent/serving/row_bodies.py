"""A row of a table as a JSON object, `{"column": value, …}`."""

import msgspec
import numpy as np

from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import row_sample


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
