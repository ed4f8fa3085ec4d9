import numpy as np
import pytest

from contract.manifest import TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.rows import row_sample


def spec_of(dtype: str) -> ModelSpec:
    return ModelSpec("tabular-classification", ("a", "b"), (TensorSpec("age", dtype, (1,)),), (TensorSpec("scores", "float32", (2,)),), {})


@pytest.mark.parametrize(
    ("dtype", "cell", "expected"),
    [("float32", "0.1", np.float32(0.1)), ("float32", 1, 1.0), ("float32", "inf", np.inf), ("int64", "7.0", 7), ("uint8", 255, 255)],
)
def test_a_number_becomes_what_the_model_takes(dtype: str, cell: str | float, expected: float) -> None:
    (value,) = row_sample({"age": cell}, spec_of(dtype))["age"]
    assert value == expected
    assert value.dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "cell", "words"),
    [
        ("float32", "1e39", "'1e39' does not fit into float32"),
        ("int64", "1.5", "'1.5' does not fit into int64"),
        ("int64", 1e30, "does not fit into int64"),
        ("uint8", "256", "does not fit into uint8"),
        ("int64", "inf", "does not fit into int64"),
        ("int64", "", "is empty, a number is needed"),
        ("float32", "old", "'old' is no number"),
    ],
)
def test_a_number_that_would_be_changed_is_refused(dtype: str, cell: str | float, words: str) -> None:
    with pytest.raises(InputError, match=words):
        row_sample({"age": cell}, spec_of(dtype))


def test_an_empty_cell_is_not_a_number_and_a_missing_column_is_refused() -> None:
    assert np.isnan(row_sample({"age": ""}, spec_of("float32"))["age"][0])
    with pytest.raises(InputError, match="has no column age"):
        row_sample({"years": 1.0}, spec_of("float32"))
