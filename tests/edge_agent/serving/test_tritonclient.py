"""An unmodified tritonclient[http] is the judge of the protocol."""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tritonclient = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException

from tests.simulators.packages import answer, make_frames, make_model


@pytest.fixture
def client(port: int) -> Iterator["tritonclient.InferenceServerClient"]:
    with contextlib.closing(tritonclient.InferenceServerClient(f"127.0.0.1:{port}")) as opened:
        yield opened


def frame_input(frame: np.ndarray, *, binary: bool) -> list["tritonclient.InferInput"]:
    tensor = tritonclient.InferInput("frame", list(frame.shape), "UINT8")
    tensor.set_data_from_numpy(frame, binary_data=binary)
    return [tensor]


def test_health_and_metadata(client: "tritonclient.InferenceServerClient") -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2")
    assert not client.is_model_ready("letters")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"] == [{"name": "frame", "datatype": "UINT8", "shape": [-1, -1, 3]}]
    assert {"name": "label", "datatype": "BYTES", "shape": [1]} in metadata["outputs"]
    assert client.get_model_repository_index()[0]["state"] == "READY"


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_infer_in_json_and_binary(client: "tritonclient.InferenceServerClient", binary_in: bool, binary_out: bool | None) -> None:
    (frame, *_), _ = make_frames(1, 8)
    outputs = None
    if binary_out is not None:
        outputs = [tritonclient.InferRequestedOutput(name, binary_data=binary_out) for name in ("scores", "label")]
    result = client.infer("digits", frame_input(frame, binary=binary_in), outputs=outputs, request_id="seven")
    np.testing.assert_allclose(result.as_numpy("scores"), answer(make_model(), frame), atol=1e-6)
    label = result.as_numpy("label")[0]
    assert (label.decode() if isinstance(label, bytes) else label) == "red"
    assert result.get_response()["id"] == "seven"
    assert (result.get_response()["model_name"], result.get_response()["model_version"]) == ("digits", "1")


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client: "tritonclient.InferenceServerClient", algorithm: str) -> None:
    (frame, *_), _ = make_frames(1, 8)
    result = client.infer("digits", frame_input(frame, binary=True), model_version="1", request_compression_algorithm=algorithm)
    assert result.as_numpy("label")[0] == b"red"


def test_a_batch_axis_of_one_and_async_requests(client: "tritonclient.InferenceServerClient") -> None:
    (frame, *_), _ = make_frames(1, 8)
    pending = client.async_infer("digits", frame_input(frame[np.newaxis], binary=True))
    assert pending.get_result().as_numpy("scores").shape == (3,)


def test_statistics_count(client: "tritonclient.InferenceServerClient") -> None:
    (frame, *_), _ = make_frames(1, 8)
    before = client.get_inference_statistics("digits")["model_stats"][0]["inference_count"]
    client.infer("digits", frame_input(frame, binary=True))
    assert client.get_inference_statistics()["model_stats"][0]["inference_count"] == before + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame[:, :, :2], "does not fit"),
        (lambda frame: np.stack([frame, frame]), "does not fit"),
    ],
)
def test_a_wrong_tensor_is_an_error_with_words(client: "tritonclient.InferenceServerClient", change: object, words: str) -> None:
    (frame, *_), _ = make_frames(1, 8)
    with pytest.raises(InferenceServerException, match=words):
        client.infer("digits", frame_input(np.ascontiguousarray(change(frame)), binary=True))  # type: ignore[operator]


def test_what_the_agent_does_not_have_answers_a_clear_error(client: "tritonclient.InferenceServerClient") -> None:
    for call in (client.get_system_shared_memory_status, client.get_trace_settings, lambda: client.load_model("digits")):
        with pytest.raises(InferenceServerException, match="nothing is at"):
            call()
