"""An unmodified tritonclient[http] is the judge of the protocol: every call of it, as docs/serving.md says."""

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    tritonclient = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException

from tests.simulators.packages import answer, make_frames, make_model

Client = tritonclient.InferenceServerClient
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "serving.md"
FRAME = make_frames(1, 8)[0][0]


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    with contextlib.closing(Client(f"127.0.0.1:{port}")) as opened:
        yield opened


def frame_input(frame: np.ndarray, *, binary: bool = True) -> list["tritonclient.InferInput"]:
    tensor = tritonclient.InferInput("frame", list(frame.shape), "UINT8")
    tensor.set_data_from_numpy(frame, binary_data=binary)
    return [tensor]


def label_of(result: "tritonclient.InferResult") -> str:
    label = result.as_numpy("label")[0]
    return label.decode() if isinstance(label, bytes) else label


def refused(state: int, words: str, call: Callable[[], object]) -> None:
    with pytest.raises(InferenceServerException, match=words) as caught:
        call()
    assert caught.value.status() == str(state)


def check_readiness(client: Client) -> None:
    assert client.is_model_ready("digits")
    assert client.is_model_ready("digits", "1")
    assert not client.is_model_ready("digits", "2")
    assert not client.is_model_ready("letters")


def check_metadata(client: Client) -> None:
    metadata = client.get_model_metadata("digits")
    assert metadata["inputs"] == [{"name": "frame", "datatype": "UINT8", "shape": [-1, -1, 3]}]
    assert {"name": "label", "datatype": "BYTES", "shape": [1]} in metadata["outputs"]


def check_config(client: Client) -> None:
    config = client.get_model_config("digits", "1")
    assert config["input"] == [{"name": "frame", "data_type": "TYPE_UINT8", "dims": [-1, -1, 3]}]
    assert {"name": "label", "data_type": "TYPE_STRING", "dims": [1]} in config["output"]
    assert config["max_batch_size"] == 0


def check_statistics(client: Client) -> None:
    before = client.get_inference_statistics("digits")["model_stats"][0]
    client.infer("digits", frame_input(FRAME))
    after = client.get_inference_statistics()["model_stats"][0]
    assert after["inference_count"] == before["inference_count"] + 1
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    gained = {part: after["inference_stats"][part]["ns"] - before["inference_stats"][part]["ns"] for part in (*parts, "success")}
    assert 0 < gained["compute_infer"] < gained["success"]
    assert abs(sum(gained[part] for part in parts) - gained["success"]) < 2000
    assert after["last_inference"] > 1_600_000_000_000


def check_infer(client: Client) -> None:
    result = client.infer("digits", frame_input(FRAME), request_id="seven", priority=1, timeout=20_000_000)
    np.testing.assert_allclose(result.as_numpy("scores"), answer(make_model(), FRAME), atol=1e-6)
    assert result.get_response()["id"] == "seven"
    assert (result.get_response()["model_name"], result.get_response()["model_version"]) == ("digits", "1")
    refused(400, "no sequences", lambda: client.infer("digits", frame_input(FRAME), sequence_id=7, sequence_start=True))
    refused(504, "deadline", lambda: client.infer("digits", frame_input(FRAME), timeout=1))
    shared = tritonclient.InferInput("frame", list(FRAME.shape), "UINT8")
    shared.set_shared_memory("region", FRAME.nbytes)
    refused(400, "shared memory", lambda: client.infer("digits", [shared]))
    output = tritonclient.InferRequestedOutput("scores")
    output.set_shared_memory("region", 12)
    refused(400, "shared memory", lambda: client.infer("digits", frame_input(FRAME), outputs=[output]))


def check_async_infer(client: Client) -> None:
    pending = client.async_infer("digits", frame_input(FRAME[np.newaxis]))  # a batch axis of one
    assert pending.get_result().as_numpy("scores").shape == (3,)


def check_bodies(client: Client) -> None:
    body, json_size = Client.generate_request_body(frame_input(FRAME), outputs=[tritonclient.InferRequestedOutput("label")])
    response = client._post("v2/models/digits/infer", body, {"Inference-Header-Content-Length": str(json_size)}, None)
    assert response.status_code == 200
    length = response.get("Inference-Header-Content-Length")
    assert label_of(Client.parse_response_body(response.read(), header_length=int(length))) == "red"


def check_plugin(client: Client) -> None:
    from tritonclient.http.auth import BasicAuth

    client.register_plugin(BasicAuth("user", "password"))
    assert client.plugin() is not None
    assert client.is_server_live()
    client.unregister_plugin()


CALLS: dict[str, Callable[[Client], object]] = {
    "is_server_live": lambda client: client.is_server_live() or pytest.fail("not live"),
    "is_server_ready": lambda client: client.is_server_ready() or pytest.fail("not ready"),
    "is_model_ready": check_readiness,
    "get_server_metadata": lambda client: client.get_server_metadata()["extensions"].index("binary_tensor_data"),
    "get_model_metadata": check_metadata,
    "get_model_config": check_config,
    "get_model_repository_index": lambda client: [entry["state"] for entry in client.get_model_repository_index()].index("READY"),
    "get_inference_statistics": check_statistics,
    "infer": check_infer,
    "async_infer": check_async_infer,
    "generate_request_body": check_bodies,
    "parse_response_body": check_bodies,
    "register_plugin": check_plugin,
    "plugin": check_plugin,
    "unregister_plugin": check_plugin,
    "close": lambda client: client.close(),
}
NO_MEMORY = "shared memory is not served"
REFUSALS: dict[str, tuple[int, str, Callable[[Client], object]]] = {
    "load_model": (403, "eyelet-agent install", lambda client: client.load_model("digits")),
    "unload_model": (403, "eyelet-agent install", lambda client: client.unload_model("digits")),
    "update_trace_settings": (404, "no traces", lambda client: client.update_trace_settings("digits", {"trace_rate": "1"})),
    "get_trace_settings": (404, "no traces", lambda client: client.get_trace_settings()),
    "update_log_settings": (404, "log settings", lambda client: client.update_log_settings({"log_info": True})),
    "get_log_settings": (404, "log settings", lambda client: client.get_log_settings()),
    "get_system_shared_memory_status": (404, NO_MEMORY, lambda client: client.get_system_shared_memory_status()),
    "register_system_shared_memory": (404, NO_MEMORY, lambda client: client.register_system_shared_memory("r", "/k", 8)),
    "unregister_system_shared_memory": (404, NO_MEMORY, lambda client: client.unregister_system_shared_memory()),
    "get_cuda_shared_memory_status": (404, NO_MEMORY, lambda client: client.get_cuda_shared_memory_status()),
    "register_cuda_shared_memory": (404, NO_MEMORY, lambda client: client.register_cuda_shared_memory("r", b"h", 0, 8)),
    "unregister_cuda_shared_memory": (404, NO_MEMORY, lambda client: client.unregister_cuda_shared_memory()),
}


def documented() -> dict[str, str]:
    """The table of the document: call to answer."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_document_has_a_line_for_every_call_of_the_client() -> None:
    public = {name for name in dir(Client) if not name.startswith("_") and callable(getattr(Client, name))}
    assert set(documented()) == public == {*CALLS, *REFUSALS}


@pytest.mark.parametrize("call", CALLS)
def test_what_the_document_promises_works(client: Client, call: str) -> None:
    CALLS[call](client)
    assert not re.match(r"\d{3}:", documented()[call])


@pytest.mark.parametrize("call", REFUSALS)
def test_what_the_document_refuses_is_refused_in_words(client: Client, call: str) -> None:
    state, words, ask = REFUSALS[call]
    refused(state, words, lambda: ask(client))
    assert documented()[call].startswith(f"{state}: ")


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_infer_in_json_and_binary(client: Client, binary_in: bool, binary_out: bool | None) -> None:
    outputs = None
    if binary_out is not None:
        outputs = [tritonclient.InferRequestedOutput(name, binary_data=binary_out) for name in ("scores", "label")]
    result = client.infer("digits", frame_input(FRAME, binary=binary_in), outputs=outputs)
    np.testing.assert_allclose(result.as_numpy("scores"), answer(make_model(), FRAME), atol=1e-6)
    assert label_of(result) == "red"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client: Client, algorithm: str) -> None:
    result = client.infer("digits", frame_input(FRAME), model_version="1", request_compression_algorithm=algorithm)
    assert label_of(result) == "red"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("class_count", "given"), [(1, 1), (2, 2), (9, 3)])
def test_scores_as_classes_the_highest_first(client: Client, binary: bool, class_count: int, given: int) -> None:
    output = tritonclient.InferRequestedOutput("scores", binary_data=binary, class_count=class_count)
    texts = [
        str(text, "utf-8") if isinstance(text, bytes) else text
        for text in client.infer("digits", frame_input(FRAME), outputs=[output]).as_numpy("scores")
    ]
    assert len(texts) == given
    scores = answer(make_model(), FRAME)
    assert texts[0] == f"{scores[0]:f}:0:red"
    assert [float(text.split(":")[0]) for text in texts] == sorted((float(text.split(":")[0]) for text in texts), reverse=True)


def test_classes_of_what_has_none_are_refused(client: Client) -> None:
    output = tritonclient.InferRequestedOutput("label", class_count=1)
    refused(400, "no score for each label", lambda: client.infer("digits", frame_input(FRAME), outputs=[output]))


@pytest.mark.parametrize("change", [lambda frame: frame[:, :, :2], lambda frame: np.stack([frame, frame])])
def test_a_wrong_tensor_is_an_error_with_words(client: Client, change: Callable[[np.ndarray], np.ndarray]) -> None:
    refused(400, "does not fit", lambda: client.infer("digits", frame_input(np.ascontiguousarray(change(FRAME)))))
