"""Inference requests and answers of the Open Inference Protocol v2, in JSON and with binary tensors."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from contract.manifest import Manifest, TensorSpec
from edge_agent.engine.engine import Prediction
from edge_agent.engine.errors import InputError
from edge_agent.engine.tensors import fit
from edge_agent.serving.http_messages import HttpError, Response
from edge_agent.serving.tensor_codec import DATATYPES, TensorError, datatype_of, decode_binary, decode_json, encode_binary

HEADER_LENGTH = "inference-header-content-length"
LABEL = "label"


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


class OutputTensor(msgspec.Struct, omit_defaults=True):
    """One output of an answer."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferAnswer(msgspec.Struct, omit_defaults=True):
    """The JSON of an answer."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str = ""


class Wanted(NamedTuple):
    """How an output goes back: in binary or JSON, and with `classes` above 0 as so many `score:index:label`."""

    binary: bool
    classes: int = 0


class Inquiry(NamedTuple):
    """A request, decoded: the sample, and how its outputs go back (None: all, as `binary` says)."""

    sample: dict[str, np.ndarray]
    id: str
    wanted: dict[str, Wanted] | None
    binary: bool
    timeout: object = None  # parameters.timeout as it came


_BINARY, _JSON = Wanted(binary=True), Wanted(binary=False)
_DECODER = msgspec.json.Decoder(InferRequest)
_ENCODER = msgspec.json.Encoder()


def decode_infer(headers: Mapping[str, str], body: bytes | bytearray, inputs: dict[str, TensorSpec]) -> Inquiry:
    """Decode a request.

    Raises:
        HttpError: 400 with what is wrong.
    """
    view = memoryview(body)
    json_length = _json_length(headers, len(view))
    try:
        request = _DECODER.decode(view[:json_length])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the request is not valid: {error}") from error
    if request.parameters.get("sequence_id"):
        raise HttpError(400, "this model has no state, so there are no sequences; send the request without sequence_id")
    position = json_length
    sample = {}
    for tensor in request.inputs:
        if tensor.name not in inputs or tensor.name in sample:
            raise HttpError(400, f"the model takes the inputs {', '.join(inputs)[:200]}, each once; got {tensor.name[:60]!r}")
        size = tensor.parameters.get("binary_data_size")
        data = None
        if size is not None:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(view) - position:
                raise HttpError(400, f"input {tensor.name}: binary_data_size is more than what follows the JSON")
            data = view[position : position + size]
            position += size
        if "shared_memory_region" in tensor.parameters:
            raise _no_shared_memory(tensor.name)
        sample[tensor.name] = _decode_tensor(tensor, data, inputs[tensor.name])
    if position != len(view):
        raise HttpError(400, f"{len(view) - position} bytes follow the last binary input")
    wanted = None
    if request.outputs is not None:
        wanted = {output.name: _read_wanted(output) for output in request.outputs}
    binary = bool(request.parameters.get("binary_data_output", False))
    return Inquiry(sample, request.id, wanted, binary, request.parameters.get("timeout"))


def _no_shared_memory(name: str) -> HttpError:
    return HttpError(400, f"{name[:60]}: shared memory is not served here; send and take tensors as binary data")


def _read_wanted(output: RequestedOutput) -> Wanted:
    parameters = output.parameters
    if "shared_memory_region" in parameters:
        raise _no_shared_memory(output.name)
    classes = parameters.get("classification")
    if classes is None:
        return _BINARY if parameters.get("binary_data") else _JSON
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 0:
        raise HttpError(400, f"output {output.name[:60]}: classification is a number of classes")
    return Wanted(bool(parameters.get("binary_data", False)), classes)


def _json_length(headers: Mapping[str, str], total: int) -> int:
    text = headers.get(HEADER_LENGTH)
    if text is None:
        return total
    length = _read_length(text)
    if not 0 <= length <= total:
        raise HttpError(400, f"{HEADER_LENGTH} is no length within the body: {text[:30]!r}")
    return length


@functools.lru_cache(maxsize=64)
def _read_length(text: str) -> int:
    """A length in digits; -1 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else -1  # noqa: PLR2004  (digits)


def _decode_tensor(tensor: InputTensor, binary: memoryview | None, spec: TensorSpec) -> np.ndarray:
    if tensor.datatype != DATATYPES.get(spec.dtype):
        raise HttpError(400, f"input {tensor.name}: expected datatype {DATATYPES.get(spec.dtype)}, got {tensor.datatype[:20]!r}")
    if min(tensor.shape, default=0) < 0 or (binary is None) == (tensor.data is None):
        raise HttpError(400, f"input {tensor.name}: needs a shape of whole numbers, and its data either in JSON or as binary")
    try:
        array = decode_json(tensor.data, spec.dtype, tensor.shape) if binary is None else decode_binary(binary, spec.dtype, tensor.shape)
        return array if array.shape == spec.shape else fit(array, spec.shape)
    except (TensorError, InputError) as error:
        raise HttpError(400, f"input {tensor.name}: {error}") from error


def encode_infer(inquiry: Inquiry, prediction: Prediction, manifest: Manifest) -> Response:
    """The answer to an inquiry: the model's outputs and `label` (BYTES).

    Raises:
        HttpError: 400 where an unknown output is asked for.
    """
    arrays = dict(prediction.outputs)
    arrays.setdefault(LABEL, np.array([prediction.label], object))
    wanted = dict.fromkeys(arrays, _BINARY if inquiry.binary else _JSON) if inquiry.wanted is None else inquiry.wanted
    pieces: list[bytes] = []
    outputs = []
    for name, (binary, classes) in wanted.items():
        if name not in arrays:
            raise HttpError(400, f"the model gives the outputs {', '.join(arrays)[:200]}; got {name[:60]!r}")
        array = classify(name, arrays[name], classes, manifest.labels) if classes else arrays[name]
        outputs.append(_encode_tensor(name, array, pieces if binary else None))
    answer = _ENCODER.encode(InferAnswer(manifest.name, str(manifest.version), outputs, inquiry.id))
    if not pieces:
        return Response(200, answer)
    headers = (("Inference-Header-Content-Length", str(len(answer))),)
    return Response(200, b"".join([answer, *pieces]), "application/octet-stream", headers)


def classify(name: str, scores: np.ndarray, classes: int, labels: tuple[str, ...]) -> np.ndarray:
    """The classification extension: the highest `classes` scores as `score:index:label`, text (k,), the highest first.

    Raises:
        HttpError: 400 where the output holds no score for each label.
    """
    if scores.shape != (len(labels),):
        raise HttpError(400, f"output {name} has no score for each label, so it can not be given as classes")
    order = np.argsort(-scores, kind="stable")[:classes]
    return np.array([f"{float(scores[index]):f}:{index}:{labels[index]}" for index in order], object)


def _encode_tensor(name: str, array: np.ndarray, pieces: list[bytes] | None) -> OutputTensor:
    datatype, shape = datatype_of(array), list(array.shape)
    if pieces is None:
        return OutputTensor(name, datatype, shape, data=array.reshape(-1).tolist())
    data = encode_binary(array)
    pieces.append(data)
    return OutputTensor(name, datatype, shape, parameters={"binary_data_size": len(data)})
