"""A tiny real package for rows: two columns, one of text, as a converter of tabular models writes it."""

import io
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from contract.files import write_atomic
from contract.manifest import Manifest, TensorSpec, Variant, golden_input_key, golden_output_key
from contract.package import Package, list_files, open_package, write_manifest
from contract.reference import Reference
from contract.signing import PrivateKey
from contract.sketches import CONFIDENCE_BOUNDS, Histogram

VARIANT = "onnx-float32"
CITIES = ("Aachen", "Köln")
ROWS: tuple[tuple[float, str], ...] = ((1.0, "Aachen"), (-1.0, "Aachen"), (1.0, "Köln"), (0.5, "elsewhere"))


def expected_scores(age: float, city: str) -> np.ndarray:
    """What the model computes: softmax of (age, city), where a city is its place in `CITIES`, unknown is 0."""
    logits = np.array([age, CITIES.index(city) * 3.0 if city in CITIES else 0.0])
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def make_table_model() -> bytes:
    """`age` float32 [N, 1] and `city` string [N, 1] to `scores` float32 [N, 2]."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["city"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=list(CITIES),
            values_floats=[float(index) for index in range(len(CITIES))],
            default_float=0.0,
        ),
        helper.make_node("Mul", ["code", "three"], ["weighted"]),
        helper.make_node("Concat", ["age", "weighted"], ["logits"], axis=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "table",
        [value("age", TensorProto.FLOAT, ["N", 1]), value("city", TensorProto.STRING, ["N", 1])],
        [value("scores", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.array(3, np.float32), "three")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def make_table_package(folder: Path, *, key: PrivateKey, name: str = "visitors") -> Package:
    """Write a signed package of task `tabular-classification` into the new folder `folder`."""
    folder.mkdir(parents=True)
    write_atomic(folder / "model.onnx", make_table_model())
    write_atomic(folder / "golden.npz", _golden())
    reference = Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.8] * 30), {"a": 15, "b": 15}, 30)
    write_atomic(folder / "reference.json", msgspec.json.encode(reference))
    write_atomic(folder / "report.json", b'{"schema_version":1}')
    write_atomic(folder / "model_card.md", b"# visitors\n")
    manifest = Manifest(
        schema_version=1,
        name=name,
        version=1,
        task="tabular-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=("a", "b"),
        inputs=(TensorSpec("age", "float32", (1,), units="years"), TensorSpec("city", "string", (1,), categories=CITIES)),
        outputs=(TensorSpec("scores", "float32", (2,), layout="C", units="probability", value_range=(0, 1)),),
        variants={VARIANT: Variant("onnx", "float32", "none", "model.onnx", opset=20)},
        files=list_files(folder, (path.name for path in folder.iterdir())),
        golden_count=len(ROWS),
    )
    write_manifest(folder, manifest, key)
    return open_package(folder, {name: key.public})


def _golden() -> bytes:
    arrays: dict[str, np.ndarray] = {}
    for index, (age, city) in enumerate(ROWS):
        arrays[golden_input_key(index, "age")] = np.array([age], np.float32)
        arrays[golden_input_key(index, "city")] = np.array([city])
        arrays[golden_output_key(index, VARIANT, "scores")] = expected_scores(age, city).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
