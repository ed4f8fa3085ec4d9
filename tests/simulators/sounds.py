"""A tiny real package for sound: 200 samples at 1000 Hz, `loud` where their mean magnitude is above 0.1."""

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
LENGTH, RATE_HZ = 200, 1000
LIMIT, GAIN = 0.1, 20.0


def expected_scores(sound: np.ndarray) -> np.ndarray:
    """What the model computes: softmax of (limit, mean magnitude), sharpened."""
    powers = np.exp(GAIN * np.array([LIMIT, np.abs(sound).mean()]))
    return (powers / powers.sum()).astype(np.float32)


def make_sound_model() -> bytes:
    """`sound` float32 [200] to `scores` float32 [2]."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Abs", ["sound"], ["magnitude"]),
        helper.make_node("ReduceMean", ["magnitude"], ["mean"], keepdims=1),
        helper.make_node("Concat", ["limit", "mean"], ["both"], axis=0),
        helper.make_node("Mul", ["both", "gain"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    constants = [
        numpy_helper.from_array(np.array([LIMIT], np.float32), "limit"),
        numpy_helper.from_array(np.array(GAIN, np.float32), "gain"),
    ]
    graph = helper.make_graph(
        nodes, "loudness", [value("sound", TensorProto.FLOAT, [LENGTH])], [value("scores", TensorProto.FLOAT, [2])], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def make_sound_package(folder: Path, *, key: PrivateKey, name: str = "loudness") -> Package:
    """Write a signed package of task `audio-classification` into the new folder `folder`."""
    folder.mkdir(parents=True)
    write_atomic(folder / "model.onnx", make_sound_model())
    sounds = [np.zeros(LENGTH, np.float32), np.full(LENGTH, 0.5, np.float32)]
    arrays = {golden_input_key(index, "sound"): sound for index, sound in enumerate(sounds)}
    arrays |= {golden_output_key(index, VARIANT, "scores"): expected_scores(sound) for index, sound in enumerate(sounds)}
    golden = io.BytesIO()
    np.savez(golden, **arrays)
    write_atomic(folder / "golden.npz", golden.getvalue())
    reference = Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 30), {"quiet": 15, "loud": 15}, 30)
    write_atomic(folder / "reference.json", msgspec.json.encode(reference))
    write_atomic(folder / "report.json", b'{"schema_version":1}')
    write_atomic(folder / "model_card.md", b"# loudness\n")
    manifest = Manifest(
        schema_version=1,
        name=name,
        version=1,
        task="audio-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=("quiet", "loud"),
        inputs=(TensorSpec("sound", "float32", (LENGTH,), layout="T", units=f"{RATE_HZ} Hz", value_range=(-1, 1)),),
        outputs=(TensorSpec("scores", "float32", (2,), layout="C", units="probability", value_range=(0, 1)),),
        variants={VARIANT: Variant("onnx", "float32", "none", "model.onnx", opset=20)},
        files=list_files(folder, (path.name for path in folder.iterdir())),
        golden_count=len(sounds),
    )
    write_manifest(folder, manifest, key)
    return open_package(folder, {name: key.public})
