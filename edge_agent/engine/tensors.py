"""Fits raw samples to what a session takes and its outputs to what the manifest promises.

Shapes may differ by axes of length 1 only (a batch axis, mostly); everything else is refused.
"""

from collections.abc import Callable, Mapping

import numpy as np

from contract.manifest import TensorSpec, Variant
from edge_agent.engine.errors import InferenceError, InputError, ModelRefusedError
from edge_agent.engine.host_steps import build_steps
from edge_agent.engine.model_spec import SCORES, ModelSpec
from edge_agent.engine.runtimes import Session, SessionTensor

Step = Callable[[np.ndarray], np.ndarray]
_NUMPY_DTYPES = {name: np.dtype(name) for name in ("uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bool")}


class _InputRow:
    """One input. `dtype` is None for strings; `passed` is the shape that was found right last (never of strings: each is looked at)."""

    __slots__ = ("dtype", "fit", "name", "passed", "spec", "steps", "target")

    def __init__(self, spec: TensorSpec, target: SessionTensor, steps: tuple[Step, ...]) -> None:
        self.spec = spec
        self.name = spec.name
        self.dtype = dtype_of(spec)
        self.target = target.name
        self.steps = steps
        self.fit = _fitter(spec.shape, target.shape, checked=not steps)
        self.passed: tuple[int, ...] | None = None

    def check(self, array: np.ndarray) -> np.ndarray:
        """The array, if it is what was promised; raises as `check_tensor`."""
        array = check_tensor(array, self.spec, self.dtype)
        if self.dtype is not None:
            self.passed = array.shape
        return array


def dtype_of(spec: TensorSpec) -> np.dtype | None:
    """The numpy type of a specification; None for text.

    Raises:
        ModelRefusedError: the specification names an unknown type.
    """
    if spec.dtype != "string" and spec.dtype not in _NUMPY_DTYPES:
        raise ModelRefusedError(f"input {spec.name} has the unknown type {spec.dtype[:40]!r}")
    return _NUMPY_DTYPES.get(spec.dtype)


class InputPlan:
    """Raw inputs by name to a session's feed."""

    def __init__(self, rows: list[_InputRow]) -> None:
        self._rows = rows

    def feed(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Check every input, run its host steps, fit its shape.

        Raises:
            InputError: one is missing, unknown, or of another type or shape.
        """
        if len(sample) != len(self._rows):
            raise _names_error(sample, self._rows)
        feed = {}
        for row in self._rows:
            array = sample.get(row.name)
            if array is None:
                raise _names_error(sample, self._rows)
            if array.shape != row.passed or array.dtype is not row.dtype:
                array = row.check(array)
            for step in row.steps:
                array = step(array)
            feed[row.target] = array if row.fit is None else row.fit(array)
        return feed


def _names_error(sample: Mapping[str, np.ndarray], rows: list[_InputRow]) -> InputError:
    expected = [row.name for row in rows]
    return InputError(f"expected the inputs {', '.join(expected)[:200]}; got {', '.join(sorted(map(str, sample)))[:200] or 'none'}")


class OutputPlan:
    """A session's outputs to named results of the promised rank."""

    def __init__(self, rows: list[tuple[str, int, int]], classes: int) -> None:
        self._rows = rows  # name, position among the session's outputs, rank
        self._scores_shape = (classes,)

    def collect(self, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Named outputs.

        Raises:
            InferenceError: an output has another shape than promised.
        """
        outputs = {}
        for name, position, rank in self._rows:
            array = arrays[position]
            outputs[name] = array if array.ndim == rank else _to_rank(array, rank)
        if outputs[SCORES].shape != self._scores_shape:
            raise InferenceError(f"the model gave scores of shape {outputs[SCORES].shape}, expected {self._scores_shape}")
        return outputs


def plan_inputs(spec: ModelSpec, variant: Variant, session: Session) -> InputPlan:
    """Match the manifest's inputs with the session's.

    Raises:
        ModelRefusedError: names or types do not fit.
        StepRefusedError: a host step is unknown.
    """
    steps = build_steps(variant.pipeline)
    by_name = _match(spec.inputs, session.inputs, "inputs")
    rows = []
    for tensor in spec.inputs:
        target = by_name[tensor.name]
        if not steps and target.dtype != tensor.dtype:
            raise ModelRefusedError(f"the manifest promises input {tensor.name} as {tensor.dtype}, the model file takes {target.dtype}")
        rows.append(_InputRow(tensor, target, steps))
    if steps and len(rows) != 1:
        raise ModelRefusedError(f"host steps need a model with one input, this one has {len(rows)}")
    return InputPlan(rows)


def plan_outputs(spec: ModelSpec, session: Session) -> OutputPlan:
    """Match the manifest's outputs with the session's.

    Raises:
        ModelRefusedError: an output is missing, or there is none named `scores`.
    """
    if SCORES not in {tensor.name for tensor in spec.outputs}:
        raise ModelRefusedError(f"a model of task {spec.task!r} needs an output named {SCORES}")
    by_name = _match(spec.outputs, session.outputs, "outputs")
    for tensor in spec.outputs:
        if by_name[tensor.name].dtype != tensor.dtype:
            raise ModelRefusedError(
                f"the manifest promises output {tensor.name} as {tensor.dtype}, the model file gives {by_name[tensor.name].dtype}"
            )
    positions = {tensor: index for index, tensor in enumerate(session.outputs)}
    rows = [(tensor.name, positions[by_name[tensor.name]], len(tensor.shape)) for tensor in spec.outputs]
    return OutputPlan(rows, len(spec.labels))


def _match(promised: tuple[TensorSpec, ...], found: tuple[SessionTensor, ...], what: str) -> dict[str, SessionTensor]:
    """By name; a single one also by being the only one (converters rename them)."""
    if len(promised) == 1 and len(found) == 1:
        return {promised[0].name: found[0]}
    by_name = {tensor.name: tensor for tensor in found}
    missing = [tensor.name for tensor in promised if tensor.name not in by_name]
    surplus = sorted(set(by_name) - {tensor.name for tensor in promised}) if what == "inputs" else []
    if missing or surplus:
        raise ModelRefusedError(f"the model file's {what} are {sorted(by_name)}, the manifest promises {[t.name for t in promised]}")
    return by_name


def check_tensor(array: np.ndarray, spec: TensorSpec, dtype: np.dtype | None) -> np.ndarray:
    """The array as it is (strings as objects), if it has the promised type and shape.

    Raises:
        InputError: it has not.
    """
    if dtype is None:
        if array.dtype.kind == "U":
            array = array.astype(object)
        elif array.dtype.kind != "O" or not all(isinstance(text, str) for text in array.flat):
            raise InputError(f"input {spec.name}: expected text, got {array.dtype}")
    elif array.dtype != dtype:
        raise InputError(f"input {spec.name}: expected {dtype}, got {array.dtype}; convert it before, nothing is converted silently")
    shape, wanted = array.shape, spec.shape
    if shape == wanted:
        return array
    if len(shape) == len(wanted) and 0 not in shape:
        for expected, got in zip(wanted, shape, strict=True):
            if expected not in (got, -1):
                break
        else:
            return array
    raise InputError(f"input {spec.name}: expected shape {_words(wanted)}, got {_words(shape)}")


def _fitter(promised: tuple[int, ...], target: tuple[int, ...], *, checked: bool) -> Callable[[np.ndarray], np.ndarray] | None:
    """What `fit` does (None: nothing), decided once where arrays were checked against `promised` and it is always the same."""
    if checked and _takes(target, promised):
        return None
    if checked and target[:1] in {(-1,), (1,)} and _takes(target[1:], promised):
        return _add_axis
    return lambda array: fit(array, target)


def _takes(target: tuple[int, ...], promised: tuple[int, ...]) -> bool:
    return len(target) == len(promised) and all(axis in (-1, length) for axis, length in zip(target, promised, strict=True))


def _add_axis(array: np.ndarray) -> np.ndarray:
    return array[np.newaxis]


def fit(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The same elements in the rank of `shape`, by adding or dropping axes of length 1.

    Raises:
        InputError: they do not fit.
    """
    rank = len(shape)
    found = array.shape
    if len(found) == rank:
        if all(expected in (-1, got) for expected, got in zip(shape, found, strict=True)):
            return array
    elif len(found) + 1 == rank and shape[0] in (-1, 1) and all(e in (-1, g) for e, g in zip(shape[1:], found, strict=True)):
        return array[np.newaxis]
    return array.reshape(_reconcile(found, shape))


def _reconcile(found: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    rest = [length for length in found if length != 1]
    target = []
    for expected in reversed(shape):
        if expected == 1 or (expected == -1 and not rest):
            target.append(1)
        elif rest and expected in (-1, rest[-1]):
            target.append(rest.pop())
        else:
            break
    if rest or len(target) != len(shape):
        raise InputError(f"shape {_words(found)} does not fit the model file's {_words(shape)}")
    return target[::-1]


def _to_rank(array: np.ndarray, rank: int) -> np.ndarray:
    while array.ndim > rank and array.shape[0] == 1:
        array = array[0]
    return array


def _words(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("any" if length == -1 else str(length) for length in shape) + ")"
