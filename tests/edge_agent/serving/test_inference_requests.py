import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.manifest import Manifest, TensorSpec
from contract.package import Package
from edge_agent.engine.engine import Prediction
from edge_agent.serving.http_messages import HttpError, Response, render
from edge_agent.serving.inference_answers import encode_infer
from edge_agent.serving.inference_requests import HEADER_LENGTH, KEPT_FORMS, InferReader

SCORES = np.array([0.25, 0.5, 0.25], np.float32)
BINARY_SCORES = [{"name": "scores", "parameters": {"binary_data": True}}]


@pytest.fixture(scope="module")
def manifest(package: Package) -> Manifest:
    return package.manifest


def message(frame: np.ndarray, **fields: Any) -> tuple[dict[str, str], bytes]:
    tensor = {"name": "frame", "shape": list(frame.shape), "datatype": "UINT8", "parameters": {"binary_data_size": frame.nbytes}}
    head = json.dumps({"inputs": [tensor], **fields}).encode()
    return {HEADER_LENGTH: str(len(head))}, head + frame.tobytes()


def prediction(scores: np.ndarray = SCORES) -> Prediction:
    return Prediction("green", 1, 0.5, scores, {"scores": scores}, 1.0)


def read(response: Response) -> tuple[dict, bytes]:
    length = int(dict(response.headers)["Inference-Header-Content-Length"]) if response.headers else None
    if length is None:
        head = render(response, keep_alive=True).partition(b"\r\n\r\n")[0].decode()
        lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        assert int(lines["Content-Length"]) == len(response.body)
        length = int(lines.get("Inference-Header-Content-Length", len(response.body)))
    return json.loads(response.body[:length]), response.body[length:]


@given(st.lists(st.binary(min_size=12, max_size=12), min_size=2, max_size=5))
def test_what_is_kept_of_a_request_is_nothing_of_its_tensors(manifest: Manifest, frames: list[bytes]) -> None:
    reader = InferReader(manifest)
    for data in frames:
        frame = np.frombuffer(data, np.uint8).reshape(2, 2, 3)
        sample, _ = reader.decode(*message(frame))
        np.testing.assert_array_equal(sample["frame"], frame)


def test_the_same_json_with_other_bytes_behind_it_is_refused(manifest: Manifest) -> None:
    reader = InferReader(manifest)
    headers, body = message(np.zeros((2, 2, 3), np.uint8))
    reader.decode(headers, body)
    with pytest.raises(HttpError, match="frame: binary_data_size is more than what follows"):
        reader.decode(headers, body[:-1])
    with pytest.raises(HttpError, match="1 bytes follow the last binary input"):
        reader.decode(headers, body + b"x")


def test_a_batch_axis_of_one_is_dropped_each_time(manifest: Manifest) -> None:
    reader = InferReader(manifest)
    for _ in range(2):
        sample, _ = reader.decode(*message(np.zeros((1, 4, 4, 3), np.uint8)))
        assert sample["frame"].shape == (4, 4, 3)


@pytest.mark.parametrize("shape", [[0, 1 << 62, 3], [1] * 70 + [1, 1, 3], [1 << 40, 1 << 40, 0]])
def test_a_shape_that_no_array_has_is_refused_in_words(manifest: Manifest, shape: list[int]) -> None:
    size_bytes = 0 if 0 in shape else 3
    tensor = {"name": "frame", "shape": shape, "datatype": "UINT8", "parameters": {"binary_data_size": size_bytes}}
    head = json.dumps({"inputs": [tensor]}).encode()
    with pytest.raises(HttpError, match="shape"):
        InferReader(manifest).decode({HEADER_LENGTH: str(len(head))}, head + bytes(size_bytes))


def test_only_so_many_forms_are_kept(manifest: Manifest) -> None:
    reader = InferReader(manifest)
    for number in range(3 * KEPT_FORMS):
        _, form = reader.decode(*message(np.zeros((1, 1, 3), np.uint8), id=str(number)))
        assert form.id == str(number)
    assert len(reader._forms) <= KEPT_FORMS


def test_tensors_in_json_are_not_kept(manifest: Manifest) -> None:
    reader = InferReader(manifest)
    tensor = {"name": "frame", "shape": [1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
    head = json.dumps({"inputs": [tensor]}).encode()
    reader.decode({HEADER_LENGTH: str(len(head))}, head)
    assert not reader._forms


def test_texts_of_the_same_form_are_each_read(manifest: Manifest) -> None:
    import msgspec

    texts = msgspec.structs.replace(manifest, inputs=(TensorSpec("word", "string", (1,)),))
    reader = InferReader(texts)
    for word in ("ant", "bee"):
        data = struct.pack("<I", 3) + word.encode()
        head = json.dumps(
            {"inputs": [{"name": "word", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}]}
        ).encode()
        sample, _ = reader.decode({HEADER_LENGTH: str(len(head))}, head + data)
        assert sample["word"].tolist() == [word]


def test_an_answer_whose_shape_changes_says_so(manifest: Manifest) -> None:
    _, form = InferReader(manifest).decode(*message(np.zeros((1, 1, 3), np.uint8), outputs=BINARY_SCORES, id="seven"))
    for scores in (SCORES, SCORES, np.zeros((2, 5), np.float32), SCORES):
        head, data = read(encode_infer(form, prediction(scores), manifest))
        assert (head["id"], head["outputs"][0]["shape"]) == ("seven", list(scores.shape))
        assert data == scores.tobytes()


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (None, ["scores", "label"]),
        ([{"name": "label"}], ["label"]),
        (BINARY_SCORES, ["scores"]),
        ([{"name": "scores"}], ["scores"]),
        ([], []),
    ],
)
def test_the_outputs_are_those_that_were_asked_for(manifest: Manifest, outputs: list[dict] | None, names: list[str]) -> None:
    _, form = InferReader(manifest).decode(*message(np.zeros((1, 1, 3), np.uint8), **({} if outputs is None else {"outputs": outputs})))
    head, _ = read(encode_infer(form, prediction(), manifest))
    assert [output["name"] for output in head["outputs"]] == names
