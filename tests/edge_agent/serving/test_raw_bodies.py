import io
import json
import select
import socket
import struct
import wave
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from contract.manifest import Manifest, TensorSpec, Variant
from contract.package import Package
from contract.signing import PrivateKey
from edge_agent.engine.engine import Engine, open_variant
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.serving.array_bodies import MAGIC, decode_npy
from edge_agent.serving.raw_bodies import takes_long
from edge_agent.serving.row_bodies import MAX_ROWS, decode_csv
from tests.edge_agent.serving.serving_thread import FAST_US, SLOW_US, serving
from tests.edge_agent.serving.test_endpoint import ask, png
from tests.simulators.packages import answer, make_frames, make_model
from tests.simulators.tables import ROWS, expected_scores, make_table_package

FRAME = make_frames(1, 8)[0][0]
LABELS = ("quiet", "loud")
COLUMNS = ModelSpec(
    "tabular-classification",
    ("a", "b"),
    (TensorSpec("age", "float32", (1,)), TensorSpec("city", "string", (1,))),
    (TensorSpec("scores", "float32", (2,)),),
    {},
)


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    body = io.BytesIO()
    np.lib.format.write_array(body, array, version, allow_pickle=True)
    return body.getvalue()


def wav(samples: np.ndarray, rate_hz: int = 16_000) -> bytes:
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return body.getvalue()


# Arrays


@pytest.mark.parametrize("headers", [{"Content-Type": "application/x-npy"}, {"Content-Type": "application/octet-stream"}])
def test_an_array_is_answered_as_the_same_tensor_is(port: int, headers: dict[str, str]) -> None:
    state, found, _ = ask(port, "POST", "/predict", npy(FRAME), headers)
    assert state == 200
    np.testing.assert_allclose(found["scores"], answer(make_model(), FRAME), atol=1e-6)
    assert ask(port, "POST", "/predict", npy(np.asfortranarray(FRAME)), headers)[1]["scores"] == found["scores"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (npy(FRAME.astype(np.float32)), "expected uint8, got float32"),
        (npy(FRAME[:, :, 0]), "expected shape"),
        (npy(np.array([{"a": 1}], object)), "no plain array of numbers"),
        (npy(np.zeros(3, [("a", "u1"), ("b", "f4")])), "no plain array of numbers"),
        (npy(np.array(["text"])), "no plain array of numbers"),
        (npy(FRAME)[:-1], "bytes for uint8"),
        (npy(FRAME) + b"x", "bytes for uint8"),
        (npy(np.zeros((0, 4, 3), np.uint8)), "is empty"),
        (npy(FRAME, (3, 0)), "version 3.0"),
        (npy(FRAME).replace(b"(", b"(" * 300, 1), "no plain array"),
        (npy(FRAME).replace(b"'|u1'", b"'|u7'"), "unknown type"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "no plain array"),
        (MAGIC, "no NPY"),
        (b"no array", "no NPY"),
    ],
)
def test_an_array_that_is_broken_or_of_another_kind_is_refused(port: int, body: bytes, words: str) -> None:
    state, found, _ = ask(port, "POST", "/predict", body, {"Content-Type": "application/x-npy"})
    assert state == 400
    assert words in found["error"]


def test_a_header_that_claims_the_moon_takes_no_memory() -> None:
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000), }\n"
    with pytest.raises(InputError, match="needs 8000000000000000000 bytes"):
        decode_npy(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_arrays_are_arrays_or_refused(data: st.DataObject) -> None:
    body = bytearray(npy(np.arange(6, dtype=np.float32)))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        array = decode_npy(bytes(body))
    except InputError:
        return
    assert array.nbytes <= len(body)


# Sound


def make_sound_model() -> bytes:
    """`sound` float32 [T] to two scores: its mean magnitude m gives (1 - m, m)."""
    nodes = [
        helper.make_node("Abs", ["sound"], ["magnitude"]),
        helper.make_node("ReduceMean", ["magnitude"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["one", "mean"], ["rest"]),
        helper.make_node("Concat", ["rest", "mean"], ["scores"], axis=0),
    ]
    graph = helper.make_graph(
        nodes,
        "sound",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["T"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    return onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


@pytest.fixture
def sound_port(package: Package, tmp_path: Path) -> object:
    file = tmp_path / "sound.onnx"
    file.write_bytes(make_sound_model())
    manifest: Manifest = msgspec.structs.replace(
        package.manifest,
        labels=LABELS,
        inputs=(TensorSpec("sound", "float32", (-1,), units="16000 Hz"),),
        outputs=(TensorSpec("scores", "float32", (2,)),),
    )

    def open_it() -> Engine:
        return open_variant(file, Variant("onnx", "float32", "none", file.name), ModelSpec.of(manifest))

    with serving(package, manifest=manifest, open_it=open_it) as port:
        yield port


def test_a_sound_is_answered_as_a_waveform(sound_port: int) -> None:
    loud = np.full(800, 0.75, np.float32)
    for path in ("/predict", "/v2/models/digits/infer"):
        state, found, _ = ask(sound_port, "POST", path, wav(loud), {"Content-Type": "audio/wav"})
        assert (state, found["label"]) == (200, "loud")
        assert found["score"] == pytest.approx(0.75, abs=1e-3)
    assert ask(sound_port, "POST", "/predict", npy(loud), {"Content-Type": "application/x-npy"})[1]["label"] == "loud"
    state, found, _ = ask(sound_port, "POST", "/predict", wav(loud, 8000), {"Content-Type": "audio/wav"})
    assert (state, "8000 samples per second, the model takes 16000" in found["error"]) == (400, True)
    assert ask(sound_port, "POST", "/predict", b"RIFF", {"Content-Type": "audio/wav"})[0] == 400
    assert "a sound (audio/wav)" in ask(sound_port, "POST", "/predict", png(FRAME), {"Content-Type": "image/png"})[1]["error"]


def test_scores_that_are_no_numbers_are_no_answer(sound_port: int) -> None:
    """Of whoever is to blame: the sample that holds NaN, or the model that makes it of numbers."""
    headers = {"Content-Type": "application/x-npy"}
    state, found, _ = ask(sound_port, "POST", "/predict", npy(np.array([0.5, np.nan], np.float32)), headers)
    assert (state, "its sound holds what is no number" in found["error"]) == (400, True)
    state, found, _ = ask(sound_port, "POST", "/predict", npy(np.full(64, 3e38, np.float32)), headers)
    assert (state, "damaged when it was trained or converted" in found["error"]) == (500, True)


# Large pictures


def flat_png(side: int) -> bytes:
    """A picture of one colour, in few bytes."""
    body = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(body, "PNG", compress_level=1)
    return body.getvalue()


@pytest.mark.parametrize("latency_us", [FAST_US, SLOW_US])
def test_others_are_answered_while_a_large_picture_is_decoded(package: Package, latency_us: float) -> None:
    body = flat_png(5000)
    assert takes_long("image/png", body)
    with serving(package, latency_us=latency_us) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as large:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        large.sendall(head.encode() + body)
        assert ask(port, "GET", "/v2/health/live")[0] == 200
        assert select.select([large], [], [], 0)[0] == [], "it was asked before and takes a second"
        answered = large.recv(65536)
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert b'"label":"' in answered


def test_what_is_quickly_decoded_stays_where_it_is() -> None:
    assert not takes_long("image/png", flat_png(100))
    assert not takes_long("image/jpeg", b"no image" * 10_000)
    assert not takes_long("audio/wav", flat_png(5000))


def test_a_model_of_pictures_refuses_sound_and_rows(port: int) -> None:
    for content_type, body in (("audio/wav", wav(np.zeros(10))), ("text/csv", b"a\n1\n"), ("application/json", b"{}")):
        state, found, _ = ask(port, "POST", "/predict", body, {"Content-Type": content_type})
        assert state == 415
        assert "takes an image" in found["error"]


# Rows


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Package:
    return make_table_package(tmp_path_factory.mktemp("tables") / "visitors", key=key)


def as_csv(rows: list[tuple[object, object]]) -> bytes:
    return b"city,unused,age\r\n" + "".join(f'"{city}",x,{age}\r\n' for age, city in rows).encode()


@pytest.mark.parametrize("latency_us", [100.0, SLOW_US])
def test_every_row_of_a_csv_body_gets_its_answer(table: Package, latency_us: float) -> None:
    rows = [*ROWS] * 40
    with serving(table, latency_us=latency_us, queue_length=0) as port:
        state, found, _ = ask(port, "POST", "/predict", as_csv(rows), {"Content-Type": "text/csv; charset=utf-8"})
        assert state == 200
        for one, (age, city) in zip(found, rows, strict=True):
            np.testing.assert_allclose(one["scores"], expected_scores(age, city), atol=1e-6)
        statistics = ask(port, "GET", "/v2/models/stats")[1]["model_stats"][0]
        assert (statistics["inference_count"], statistics["inference_stats"]["success"]["count"]) == (len(rows), 1)
        state, found, _ = ask(port, "POST", "/predict", as_csv([*rows, ("old", "Köln")]), {"Content-Type": "text/csv"})
        assert (state, "'old' is no number" in found["error"]) == (400, True)
        state, found, _ = ask(port, "POST", "/predict", as_csv(rows * 20), {"Content-Type": "text/csv", "Timeout": "20000"})
        assert (state, "deadline" in found["error"]) == (504, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "names nothing"),
        (b"age,city\n", "no rows"),
        (b"age\n1\n", "column 'city'"),
        (b"age;city\n1;b\n", "it names age;city; cells are separated by commas"),
        (b"age,city\n1e39,b\n", "line 2: column age: '1e39' does not fit into float32"),
        (b"age,city,age\n1,b,2\n", "column 'age' once"),
        (b"age,city\n1\n", "line 2 has 1 cells"),
        (b"age,city\n1,b\n2,c,d\n", "line 3 has 3 cells"),
        (b"age,city\n1,b\nold,c\n", "line 3: column age: 'old' is no number"),
        (b"age,city\n\xff,b\n", "no CSV in UTF-8"),
        (b'age,city\n1,"b\n', "no CSV"),
        (b"age,city\n" + b"1,b\n" * (MAX_ROWS + 1), "more than 10000 rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused_all_together(body: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        list(decode_csv(body, COLUMNS))


def test_empty_lines_and_a_byte_order_mark_are_no_rows() -> None:
    assert len(list(decode_csv("\ufeffage,city\n\n1,Köln\n\n".encode(), COLUMNS))) == 1


def test_the_answers_to_rows_are_those_to_single_rows(table: Package) -> None:
    with serving(table) as port:
        (age, city), *_ = ROWS
        many = ask(port, "POST", "/predict", as_csv([(age, city)]), {"Content-Type": "text/csv"})[1]
        row = json.dumps({"age": age, "city": city}).encode()
        one = ask(port, "POST", "/predict", row, {"Content-Type": "application/json"})[1]
        assert [many[0][key] for key in ("label", "scores", "accepted")] == [one[key] for key in ("label", "scores", "accepted")]
