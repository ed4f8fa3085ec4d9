"""Inference requests of the Open Inference Protocol v2, in JSON and with binary tensors.

A client sends the same JSON again and again where its tensors follow in binary, so what was read from
such a JSON (a `Form`) is kept by its bytes; the next request only looks at its tensors.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from contract.manifest import Manifest, TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.tensors import fit
from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import HttpError
from edge_agent.serving.tensor_codec import DATATYPES, RAW_DTYPES, RAW_HERE, TensorError, decode_json, decode_text

HEADER_LENGTH = "inference-header-content-length"
KEPT_FORMS = 64
KEPT_FORM_MAX_BYTES = 4096


class InputTensor(msgspec.Struct):
    """One input; `data` is absent where its bytes follow the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class RequestedOutput(msgspec.Struct):
    """One output that the client wants."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct):
    """The JSON of a request; unknown fields are ignored, as the protocol says."""

    inputs: list[InputTensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[RequestedOutput] | None = None


class Wanted(NamedTuple):
    """How an output goes back: in binary or JSON, and with `classes` above 0 as so many `score:index:label`."""

    binary: bool
    classes: int = 0


BINARY, JSON = Wanted(binary=True), Wanted(binary=False)


class BinaryInput(NamedTuple):
    """An input whose bytes follow the JSON, from `begin` to `end`. `dtype` is None for text; `shape` is as the model takes it."""

    name: str
    begin: int
    end: int
    dtype: np.dtype | None
    shape: tuple[int, ...]


class Form:
    """What a request's JSON says: where its inputs are and how its outputs go back (`wanted` None: all, as `binary` says).

    `plain_outputs` are the outputs asked for where all of them are raw numbers; None where one is not.
    `answer_begin` keeps what is the same in each answer, see `inference_answers`.
    """

    __slots__ = ("answer_begin", "binary", "binary_bytes", "binary_inputs", "id", "json_inputs", "plain_outputs", "timeout", "wanted")

    def __init__(self, request: InferRequest, inputs: Mapping[str, TensorSpec], raw_outputs: frozenset[str]) -> None:
        """Raises `HttpError` 400 with what is wrong."""
        parameters = request.parameters
        if parameters.get("sequence_id"):
            raise HttpError(400, "this model has no state, so there are no sequences; send the request without sequence_id")
        self.id = request.id
        self.timeout: object = parameters.get("timeout")  # as it came
        self.binary = bool(parameters.get("binary_data_output", False))
        self.json_inputs: dict[str, np.ndarray] = {}
        self.binary_inputs: list[BinaryInput] = []
        self.binary_bytes = 0
        for tensor in request.inputs:
            self._add_input(tensor, inputs)
        self.wanted = None if request.outputs is None else {output.name: _read_wanted(output) for output in request.outputs}
        self.plain_outputs = _plain_outputs(self.wanted, raw_outputs)
        self.answer_begin: tuple[list[tuple[int, ...]], bytes, bytes] | None = None

    def _add_input(self, tensor: InputTensor, specs: Mapping[str, TensorSpec]) -> None:
        name = tensor.name
        if name not in specs or name in self.json_inputs or any(name == other.name for other in self.binary_inputs):
            raise HttpError(400, f"the model takes the inputs {', '.join(specs)[:200]}, each once; got {name[:60]!r}")
        if "shared_memory_region" in tensor.parameters:
            raise _no_shared_memory(name)
        size_bytes = _read_size(tensor)
        _check_datatype(tensor, specs[name].dtype)
        if min(tensor.shape, default=0) < 0 or (size_bytes is None) == (tensor.data is None):
            raise HttpError(400, f"input {name}: needs a shape of whole numbers, and its data either in JSON or as binary")
        try:
            if size_bytes is None:
                self.json_inputs[name] = _fitted(decode_json(tensor.data, specs[name].dtype, tensor.shape), specs[name])
            else:
                self._add_binary(tensor, specs[name], size_bytes)
        except (TensorError, InputError) as error:
            raise HttpError(400, f"input {name}: {error}") from error

    def _add_binary(self, tensor: InputTensor, spec: TensorSpec, size_bytes: int) -> None:
        dtype, shape = RAW_DTYPES.get(spec.dtype), tensor.shape
        if dtype is not None:
            shape = _fitted_shape(size_bytes, dtype, shape, spec)
        begin, self.binary_bytes = self.binary_bytes, self.binary_bytes + size_bytes
        self.binary_inputs.append(BinaryInput(tensor.name, begin, self.binary_bytes, dtype, shape))

    def sample(self, body: Body, json_length: int, inputs: Mapping[str, TensorSpec]) -> dict[str, np.ndarray]:
        """The inputs of one request; numbers share the memory of `body`.

        Raises:
            HttpError: 400 where what follows the JSON has another length, or a text is broken.
        """
        if len(body) - json_length != self.binary_bytes:
            raise self._wrong_length(len(body) - json_length)
        sample = self.json_inputs.copy()
        for name, begin, end, dtype, shape in self.binary_inputs:
            if dtype is None:
                sample[name] = _text_tensor(memoryview(body)[json_length + begin : json_length + end], shape, inputs[name])
            else:
                sample[name] = np.ndarray(shape, dtype, body, json_length + begin)
        return sample

    def _wrong_length(self, there: int) -> HttpError:
        if there > self.binary_bytes:
            return HttpError(400, f"{there - self.binary_bytes} bytes follow the last binary input")
        name = next((tensor.name for tensor in self.binary_inputs if tensor.end > there), "")
        return HttpError(400, f"input {name[:60]}: binary_data_size is more than what follows the JSON")


class InferReader:
    """Decodes the requests to one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._inputs = {spec.name: spec for spec in manifest.inputs}
        self._raw_outputs = frozenset(spec.name for spec in manifest.outputs if spec.dtype in RAW_HERE)
        self._forms: dict[bytes, Form] = {}
        self._decoder = msgspec.json.Decoder(InferRequest)

    def decode(self, headers: Mapping[str, str], body: Body) -> tuple[dict[str, np.ndarray], Form]:
        """Decode a request: the sample, and what else its JSON says.

        Raises:
            HttpError: 400 with what is wrong.
        """
        text = headers.get(HEADER_LENGTH)
        if text is None:
            form = self._read(body)
            return form.sample(body, len(body), self._inputs), form
        length = _read_length(text)
        if not 0 <= length <= len(body):
            raise HttpError(400, f"{HEADER_LENGTH} is no length within the body: {text[:30]!r}")
        head = bytes(body[:length])
        form = self._forms.get(head) or self._learn(head)
        return form.sample(body, length, self._inputs), form

    def _read(self, head: Body) -> Form:
        try:
            request = self._decoder.decode(head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the request is not valid: {error}") from error
        return Form(request, self._inputs, self._raw_outputs)

    def _learn(self, head: bytes) -> Form:
        form = self._read(head)
        if len(head) <= KEPT_FORM_MAX_BYTES and not form.json_inputs:
            if len(self._forms) >= KEPT_FORMS:
                self._forms.clear()
            self._forms[head] = form
        return form


def _no_shared_memory(name: str) -> HttpError:
    return HttpError(400, f"{name[:60]}: shared memory is not served here; send and take tensors as binary data")


def _read_wanted(output: RequestedOutput) -> Wanted:
    parameters = output.parameters
    if "shared_memory_region" in parameters:
        raise _no_shared_memory(output.name)
    classes = parameters.get("classification")
    if classes is None:
        return BINARY if parameters.get("binary_data") else JSON
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 0:
        raise HttpError(400, f"output {output.name[:60]}: classification is a number of classes")
    return Wanted(bool(parameters.get("binary_data", False)), classes)


def _plain_outputs(wanted: Mapping[str, Wanted] | None, raw_outputs: frozenset[str]) -> tuple[str, ...] | None:
    if not wanted or not raw_outputs.issuperset(wanted) or any(how != BINARY for how in wanted.values()):
        return None
    return tuple(wanted)


def _read_size(tensor: InputTensor) -> int | None:
    size = tensor.parameters.get("binary_data_size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise HttpError(400, f"input {tensor.name[:60]}: binary_data_size is a number of bytes, got {str(size)[:30]!r}")
    return size


def _check_datatype(tensor: InputTensor, dtype: str) -> None:
    if tensor.datatype != DATATYPES.get(dtype):
        raise HttpError(400, f"input {tensor.name}: expected datatype {DATATYPES.get(dtype)}, got {tensor.datatype[:20]!r}")


@functools.lru_cache(maxsize=64)
def _read_length(text: str) -> int:
    """A length in digits; -1 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else -1  # noqa: PLR2004  (digits)


def _fitted_shape(size_bytes: int, dtype: np.dtype, shape: tuple[int, ...], spec: TensorSpec) -> tuple[int, ...]:
    """The shape in the rank that the model takes; raises where it does not fit or the bytes are not as many."""
    count, odd = divmod(size_bytes, dtype.itemsize)
    if odd:
        raise TensorError(f"{size_bytes} bytes are no whole number of {DATATYPES[spec.dtype]} elements")
    needed = 1
    for axis in shape:
        needed *= axis
    if needed != count:
        raise TensorError(f"shape {list(shape)} needs {needed} elements, the data has {count}")
    try:
        return _fitted(np.broadcast_to(np.zeros((), dtype), shape), spec).shape
    except ValueError as error:
        raise TensorError(f"shape {str(list(shape))[:100]} is no shape of an array") from error


def _fitted(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return array if array.shape == spec.shape else fit(array, spec.shape)


def _text_tensor(data: memoryview, shape: tuple[int, ...], spec: TensorSpec) -> np.ndarray:
    try:
        return _fitted(decode_text(data, shape), spec)
    except (TensorError, InputError) as error:
        raise HttpError(400, f"input {spec.name}: {error}") from error
