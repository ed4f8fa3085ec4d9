import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.manifest import TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.tensors import check_tensor, fit


@pytest.mark.parametrize(
    ("found", "wanted", "result"),
    [
        ((5, 7, 3), (-1, -1, 3), (5, 7, 3)),
        ((5, 7, 3), (1, 5, 7, 3), (1, 5, 7, 3)),
        ((5, 7, 3), (-1, -1, -1, 3), (1, 5, 7, 3)),
        ((5, 1, 3), (-1, -1, -1, 3), (1, 5, 1, 3)),
        ((1,), (-1, 1), (1, 1)),
        ((1, 4), (4,), (4,)),
        ((4,), (1, 1, 4), (1, 1, 4)),
        ((1,), (), ()),
    ],
)
def test_axes_of_length_one_come_and_go(found: tuple[int, ...], wanted: tuple[int, ...], result: tuple[int, ...]) -> None:
    assert fit(np.zeros(found), wanted).shape == result


@pytest.mark.parametrize(("found", "wanted"), [((5, 7, 3), (1, 7, 5, 3)), ((4,), (5,)), ((2, 3), (6,)), ((2,), (1, 1))])
def test_anything_else_is_refused(found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="does not fit"):
        fit(np.zeros(found), wanted)


@given(st.lists(st.integers(1, 4), min_size=0, max_size=4), st.lists(st.booleans(), min_size=6, max_size=6))
def test_fitting_keeps_every_element_in_order(found: list[int], free: list[bool]) -> None:
    array = np.arange(np.prod(found, dtype=int)).reshape(found)
    wanted = tuple(-1 if loose else length for length, loose in zip([1, *found], free, strict=False))
    fitted = fit(array, wanted)
    assert fitted.ravel().tolist() == array.ravel().tolist()
    assert all(expected in (-1, length) for expected, length in zip(wanted, fitted.shape, strict=True))


def test_text_comes_as_unicode_or_objects_and_never_as_numbers() -> None:
    spec = TensorSpec("city", "string", (1,))
    assert check_tensor(np.array(["Köln"]), spec, None).dtype == object
    assert check_tensor(np.array(["Köln"], object), spec, None)[0] == "Köln"
    for wrong in (np.array([1]), np.array([1], object), np.array([b"x"])):
        with pytest.raises(InputError, match="expected text"):
            check_tensor(wrong, spec, None)
