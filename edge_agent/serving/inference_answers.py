"""Answers to inference requests of the Open Inference Protocol v2, in JSON and with binary tensors."""

from typing import Any

import msgspec
import numpy as np

from contract.manifest import Manifest
from edge_agent.engine.engine import Prediction
from edge_agent.serving.http_messages import HttpError, Response, render_begin
from edge_agent.serving.inference_requests import BINARY, JSON, Form
from edge_agent.serving.tensor_codec import datatype_of, encode_binary

LABEL = "label"
_OCTETS = "application/octet-stream"


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


_ENCODER = msgspec.json.Encoder()


def encode_infer(form: Form, prediction: Prediction, manifest: Manifest) -> Response:
    """The answer to a request: the model's outputs and `label` (BYTES).

    Raises:
        HttpError: 400 where an unknown output is asked for.
    """
    if form.plain_outputs is not None:
        return _encode_plain(form, form.plain_outputs, prediction.outputs, manifest)
    wanted, outputs = form.wanted, prediction.outputs
    if LABEL not in outputs and (wanted is None or LABEL in wanted):
        outputs = {**outputs, LABEL: np.array([prediction.label], object)}
    if wanted is None:
        wanted = dict.fromkeys(outputs, BINARY if form.binary else JSON)
    pieces: list[bytes] = []
    tensors = []
    for name, (binary, classes) in wanted.items():
        if name not in outputs:
            raise HttpError(400, f"the model gives the outputs {', '.join({**outputs, LABEL: None})[:200]}; got {name[:60]!r}")
        array = classify(name, outputs[name], classes, manifest.labels) if classes else outputs[name]
        tensors.append(_encode_tensor(name, array, pieces if binary else None))
    head = _ENCODER.encode(InferAnswer(manifest.name, str(manifest.version), tensors, form.id))
    return Response(200, head) if not pieces else _with_binary(head, pieces)


def _with_binary(head: bytes, pieces: list[bytes]) -> Response:
    return Response(200, b"".join([head, *pieces]), _OCTETS, (("Inference-Header-Content-Length", str(len(head))),))


def _encode_plain(form: Form, names: tuple[str, ...], outputs: dict[str, np.ndarray], manifest: Manifest) -> Response:
    """Raw numbers only: all but them is the same as in the last answer to this form, unless a shape is another."""
    shapes, pieces = [], []
    for name in names:
        array = outputs[name]
        shapes.append(array.shape)
        pieces.append(array.tobytes())
    if form.answer_begin is None or form.answer_begin[0] != shapes:
        tensors = [_encode_tensor(name, outputs[name], []) for name in names]
        head = _ENCODER.encode(InferAnswer(manifest.name, str(manifest.version), tensors, form.id))
        form.answer_begin = (shapes, render_begin(_with_binary(head, pieces)), head)
    _, begin, head = form.answer_begin
    pieces.insert(0, head)
    return Response(200, b"".join(pieces), _OCTETS, begin=begin)


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
