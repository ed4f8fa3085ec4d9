"""How each server is asked and how the scores are read from its answer: whole requests as bytes, made once."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks.endpoint_latency import DATATYPES, binary_request, http_request

Sample = dict[str, np.ndarray]


class Form(NamedTuple):
    """`build(model, sample)` makes the request, `read_scores(body, classes)` understands the answer."""

    name: str
    build: Callable[[str, Sample], bytes]
    read_scores: Callable[[bytes, int], np.ndarray]


def flat_numbers(array: np.ndarray) -> list[Any]:
    """The elements as the shortest numbers that give them back: 0.1, not 0.10000000149011612."""
    return array.reshape(-1).tolist() if array.dtype.kind in "iu" else [float(str(number)) for number in array.reshape(-1)]


def _json(path: str, content: object) -> bytes:
    return http_request(path, json.dumps(content, separators=(",", ":")).encode(), {"Content-Type": "application/json"})


def _plain_request(_: str, sample: Sample) -> bytes:
    (array,) = sample.values()
    return _json("/predict", {"data": flat_numbers(array)})


def _protocol_request(model: str, sample: Sample) -> bytes:
    ((name, array),) = sample.items()
    tensor = {"name": name, "shape": list(array.shape), "datatype": DATATYPES[array.dtype.name], "data": flat_numbers(array)}
    return _json(f"/v2/models/{model}/infer", {"inputs": [tensor]})


def _raw_request(_: str, sample: Sample) -> bytes:
    (array,) = sample.values()
    return http_request("/predict-raw", array.tobytes(), {"Content-Type": "application/octet-stream"})


def _read_binary(body: bytes, classes: int) -> np.ndarray:
    return np.frombuffer(body[-4 * classes :], "<f4")


def _read_protocol(body: bytes, _: int) -> np.ndarray:
    (scores,) = [output["data"] for output in json.loads(body)["outputs"] if output["name"] == "scores"]
    return np.array(scores, np.float32)


def _read_plain(body: bytes, _: int) -> np.ndarray:
    content = json.loads(body)
    return np.array(content["scores"] if isinstance(content, dict) else content, np.float32)


BINARY = Form("binary tensors", binary_request, _read_binary)
PROTOCOL = Form("JSON of the protocol", _protocol_request, _read_protocol)
PLAIN = Form("JSON", _plain_request, _read_plain)
RAW = Form("raw bytes", _raw_request, _read_binary)
