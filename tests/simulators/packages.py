"""Tiny real packages for tests: an ONNX classifier of colours, its golden samples, its acceptance set.

Class `k` of `n` is the hue `k / n`; the model is the nearest colour, as a graph that follows the
conventions of every image classifier: raw uint8 frame of any size in, in-graph resize, scores out.
"""

import colorsys
import io
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from contract.acceptance import AcceptanceSet, label_set_digest
from contract.files import sha256_of, write_atomic
from contract.manifest import FileEntry, HostStep, Manifest, TensorSpec, Variant, VariantEvaluation, golden_input_key, golden_output_key
from contract.package import Package, list_files, open_package, write_manifest
from contract.reference import Reference
from contract.signing import PrivateKey
from contract.sketches import CONFIDENCE_BOUNDS, Histogram

KINDS = ("good", "bad", "slow", "wrong-golden", "crash")
GAIN = 8.0
SIDE = 16  # pixels of the network's input
GOLDEN_COUNT = 4
SLOW_ROUNDS = 8
SLOW_SIDE = 512


def labels_of(classes: int) -> tuple[str, ...]:
    """Labels of a colour model: `red`, `green`, `blue`, or `hue-0`, `hue-1`, … for another number."""
    return ("red", "green", "blue") if classes == 3 else tuple(f"hue-{k}" for k in range(classes))


def colours(classes: int) -> np.ndarray:
    """The colour of each class, float32 (C, 3) in [0, 1]."""
    return np.array([colorsys.hsv_to_rgb(k / classes, 0.8, 0.8) for k in range(classes)], np.float32)


def _centres(classes: int, kind: str) -> np.ndarray:
    return np.roll(colours(classes), 1, axis=0) if kind == "bad" else colours(classes)


def make_frames(count: int, seed: int, classes: int = 3) -> tuple[list[np.ndarray], list[int]]:
    """Noisy frames uint8 (H, W, 3) of changing size in the colour of their class, and their classes."""
    random = np.random.default_rng(seed)
    frames, labels = [], []
    for index in range(count):
        height, width = random.integers(20, 60, 2)
        label = index % classes
        noisy = colours(classes)[label] * 255 + random.normal(0, 25, (height, width, 3))
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
        labels.append(label)
    return frames, labels


def make_model(classes: int = 3, kind: str = "good") -> bytes:
    """The ONNX file (opset 20, IR 10): `frame` uint8 [H, W, 3] to `scores` float32 [classes]."""
    centres = _centres(classes, kind)
    constants = {
        "axis0": np.array([0], np.int64),
        "size": np.array([1, SIDE, SIDE, 3], np.int64),
        "slow_size": np.array([1, SLOW_SIDE, SLOW_SIDE, 3], np.int64),
        "axes": np.array([1, 2], np.int64),
        "all_axes": np.array([0, 1, 2, 3], np.int64),
        "scale": np.array(1 / 255, np.float32),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
        "least": np.array(-(2**31), np.int32),
        "weights": (2 * GAIN * centres.T).astype(np.float32),
        "bias": (-GAIN * (centres**2).sum(axis=1)).astype(np.float32),
    }
    resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    nodes = [
        helper.make_node("Unsqueeze", ["frame", "axis0"], ["four"]),
        helper.make_node("Resize", ["four", "", "", "size"], ["small"], **resize),
        helper.make_node("Cast", ["small"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["colour"]),
        helper.make_node("MatMul", ["colour", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
    ]
    logits = "logits"
    if kind == "slow":
        nodes += _slow_nodes(resize)
        logits = "delayed_logits"
    if kind == "crash":
        nodes += _crash_nodes()
        logits = "broken_logits"
    nodes += [
        helper.make_node("Softmax", [logits], ["row"], axis=-1),
        helper.make_node("Squeeze", ["row", "axis0"], ["scores"]),
    ]
    used = {name for node in nodes for name in node.input}
    for index, node in enumerate(nodes):
        node.name = f"node_{index}"
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["H", "W", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _slow_nodes(resize: dict[str, str]) -> list[onnx.NodeProto]:
    """Work on a large frame whose result counts for nothing."""
    nodes = [
        helper.make_node("Resize", ["four", "", "", "slow_size"], ["large"], **resize),
        helper.make_node("Cast", ["large"], ["slow_0"], to=TensorProto.FLOAT),
    ]
    nodes += [helper.make_node("Sin", [f"slow_{k}"], [f"slow_{k + 1}"]) for k in range(SLOW_ROUNDS)]
    return [
        *nodes,
        helper.make_node("ReduceMean", [f"slow_{SLOW_ROUNDS}", "all_axes"], ["rest"], keepdims=0),
        helper.make_node("Mul", ["rest", "zero"], ["nothing"]),
        helper.make_node("Add", ["logits", "nothing"], ["delayed_logits"]),
    ]


def _crash_nodes() -> list[onnx.NodeProto]:
    """The least int32 divided by -1: a SIGFPE on x86 that no runtime catches (ARM wraps around)."""
    return [
        helper.make_node("Mul", ["mean", "zero"], ["nil"]),
        helper.make_node("Add", ["nil", "one"], ["float_one"]),
        helper.make_node("Cast", ["float_one"], ["int_one"], to=TensorProto.INT32),
        helper.make_node("Neg", ["int_one"], ["minus_one"]),
        helper.make_node("Mul", ["int_one", "least"], ["lowest"]),
        helper.make_node("Div", ["lowest", "minus_one"], ["impossible"]),
        helper.make_node("Cast", ["impossible"], ["float_impossible"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float_impossible"], ["highest"], keepdims=0),
        helper.make_node("Add", ["logits", "highest"], ["broken_logits"]),
    ]


def answer(model: bytes, frame: np.ndarray) -> np.ndarray:
    """Scores of a model for one frame, by ONNX Runtime as it comes."""
    return answer_all(model, [frame])[0]


def answer_all(model: bytes, frames: list[np.ndarray]) -> list[np.ndarray]:
    """Scores of a model for each frame."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [np.asarray(session.run(["scores"], {"frame": frame})[0]) for frame in frames]


def make_package(
    folder: Path,
    *,
    key: PrivateKey,
    name: str = "digits",
    version: int = 1,
    kind: str = "good",
    classes: int = 3,
    variants: tuple[str, ...] = ("onnx-float32",),
) -> Package:
    """Write a signed package into the new folder `folder`; `variants` may hold `onnx-…` and `litert-…`.

    `bad` is consistent with itself but answers another class; `slow` gives the same answers, far
    dearer (about 15 ms instead of 0.03); `wrong-golden` promises outputs that its model does not
    give; `crash` kills the process that runs it with SIGFPE (on x86).
    """
    if kind not in KINDS:
        raise ValueError(kind)
    folder.mkdir(parents=True)
    model = make_model(classes, "bad" if kind == "bad" else "good")  # whose answers are promised
    table = {variant: _write_variant(folder, variant, kind, classes) for variant in variants}
    write_atomic(folder / "golden.npz", _golden(model, classes, variants, wrong=kind == "wrong-golden"))
    _write_documents(folder, name, version, model, classes)
    manifest = Manifest(
        schema_version=1,
        name=name,
        version=version,
        task="image-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=labels_of(classes),
        inputs=(TensorSpec("frame", "uint8", (-1, -1, 3), layout="HWC", units="RGB", value_range=(0, 255)),),
        outputs=(TensorSpec("scores", "float32", (classes,), layout="C", units="probability", value_range=(0, 1)),),
        variants=table,
        files=list_files(folder, (path.name for path in folder.iterdir())),
        golden_count=GOLDEN_COUNT,
    )
    write_manifest(folder, manifest, key)
    return open_package(folder, {name: key.public})


def _write_variant(folder: Path, variant: str, kind: str, classes: int) -> Variant:
    runtime, precision = variant.split("-")[:2]
    evaluation = VariantEvaluation(metric="accuracy", score=1.0, samples=64, latency_p50_ms=0.1, latency_p95_ms=0.2)
    if runtime == "litert":
        if kind in {"slow", "crash"}:
            raise ValueError(f"{kind} packages hold ONNX variants only")
        from tests.simulators.litert_models import make_litert_model

        file = f"{variant}.tflite"
        write_atomic(folder / file, make_litert_model(_centres(classes, kind), GAIN, SIDE))
        resize = HostStep("resize", {"height": SIDE, "width": SIDE, "mode": "linear"})
        return Variant(runtime, precision, "none", file, pipeline=(resize,), tolerance=1e-4, evaluation=evaluation)
    file = f"{variant}.onnx"
    write_atomic(folder / file, make_model(classes, "good" if kind == "wrong-golden" else kind))
    return Variant(runtime, precision, "none", file, tolerance=1e-4, opset=20, evaluation=evaluation)


def _golden(model: bytes, classes: int, variants: tuple[str, ...], *, wrong: bool) -> bytes:
    frames, _ = make_frames(GOLDEN_COUNT, 1, classes)
    arrays = {}
    for index, (frame, scores) in enumerate(zip(frames, answer_all(model, frames), strict=True)):
        arrays[golden_input_key(index, "frame")] = frame
        for variant in variants:
            arrays[golden_output_key(index, variant, "scores")] = np.roll(scores, 1) if wrong else scores
    return _npz(arrays)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _write_documents(folder: Path, name: str, version: int, model: bytes, classes: int) -> None:
    answers = answer_all(model, make_frames(60, 3, classes)[0])
    counts = np.bincount([int(scores.argmax()) for scores in answers], minlength=classes)
    reference = Reference(
        schema_version=1,
        confidence=Histogram.of(CONFIDENCE_BOUNDS, [float(scores.max()) for scores in answers]),
        class_counts={label: int(count) for label, count in zip(labels_of(classes), counts, strict=True)},
        sample_count=len(answers),
        drift_limit=0.4,
        minimum_count=20,
    )
    write_atomic(folder / "reference.json", msgspec.json.encode(reference))
    write_atomic(folder / "report.json", b'{"schema_version":1}')
    write_atomic(folder / "model_card.md", f"# {name} {version}\n\nNearest colour; for tests.\n".encode())


def make_acceptance(
    folder: Path,
    *,
    model: str = "digits",
    classes: int = 3,
    count: int = 30,
    minimum: float = 0.9,
) -> tuple[AcceptanceSet, bytes]:
    """An acceptance set that `good` passes and `bad` fails; writes `acceptance.json` and `acceptance.npz` into `folder`."""
    frames, labels = make_frames(count, 2, classes)
    arrays = {golden_input_key(index, "frame"): frame for index, frame in enumerate(frames)}
    samples = _npz({**arrays, "labels": np.array(labels, np.int64)})
    acceptance = AcceptanceSet(
        schema_version=1,
        model=model,
        task="image-classification",
        label_set_digest=label_set_digest(labels_of(classes)),
        samples=FileEntry(sha256_of(samples), len(samples)),
        count=count,
        metric="accuracy",
        minimum_score=minimum,
        desk_score=1.0,
        margin=1.0 - minimum,
    )
    write_atomic(folder / "acceptance.npz", samples)
    write_atomic(folder / "acceptance.json", msgspec.json.encode(acceptance))
    return acceptance, samples
