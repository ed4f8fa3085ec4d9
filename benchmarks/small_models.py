"""Models for the benchmarks, with random weights: a small image classifier, MobileNetV2 0.35 and a small MLP."""

import io
import itertools
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from contract.files import write_atomic
from contract.manifest import Manifest, TensorSpec, Variant, golden_input_key, golden_output_key
from contract.package import Package, list_files, open_package, write_manifest
from contract.reference import Reference
from contract.signing import generate_key
from contract.sketches import CONFIDENCE_BOUNDS, Histogram

VARIANT = "onnx-float32"
SIDE = 96
CLASSES = 10
FRAME_SHAPE = (480, 640, 3)
MLP_INPUTS = 33
_BLOCKS = ((8, 1), (16, 2), (16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (64, 2), (64, 1), (96, 1))  # channels, stride
# expansion, channels at width 0.35, repetitions, first stride; Sandler and others, MobileNetV2 (2018), table 2
_MOBILENET = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))


class _Builder:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(0)
        self._count = 0

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        self._count += 1
        output = output or f"t{self._count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"n{self._count}", **attributes))
        return output

    def convolution(self, source: str, channels: tuple[int, int], size: int, stride: int, group: int = 1) -> str:
        shape = (channels[1], channels[0] // group, size, size)
        weights = self.random.normal(0, (2 / (shape[1] * size * size)) ** 0.5, shape).astype(np.float32)
        bias = np.zeros(channels[1], np.float32)
        padding = [size // 2] * 4
        inputs = [source, self.constant(weights), self.constant(bias)]
        return self.add("Conv", inputs, kernel_shape=[size, size], strides=[stride, stride], pads=padding, group=group)

    def relu6(self, source: str) -> str:
        return self.add("Clip", [source, self.constant(np.array(0, np.float32)), self.constant(np.array(6, np.float32))])


def make_cnn() -> bytes:
    """Frame uint8 [H, W, 3] to scores [10]: in-graph resize to 96 x 96, ten depthwise-separable blocks."""
    builder = _Builder()
    axis = builder.constant(np.array([0], np.int64))
    planes = builder.add("Transpose", [_add_resize(builder, axis)], perm=[0, 3, 1, 2])
    value = builder.add("Relu", [builder.convolution(planes, (3, 16), 3, 2)])
    channels = 16
    for wanted, stride in _BLOCKS:
        wide = builder.add("Relu", [builder.convolution(value, (channels, channels * 4), 1, 1)])
        deep = builder.add("Relu", [builder.convolution(wide, (channels * 4, channels * 4), 3, stride, group=channels * 4)])
        value, channels = builder.convolution(deep, (channels * 4, wanted), 1, 1), wanted
    _add_scores(builder, value, channels, axis)
    return _finish(builder, ("frame", TensorProto.UINT8, ["H", "W", 3]), CLASSES)


def make_mobilenet(*, frame: bool) -> bytes:
    """MobileNetV2 of width 0.35 at 96 x 96, normalisation folded: uint8 frame [H, W, 3], or scaled float32 pixels [96, 96, 3]."""
    builder = _Builder()
    axis = builder.constant(np.array([0], np.int64))
    if frame:
        _add_mobilenet(builder, _add_resize(builder, axis), axis)
        return _finish(builder, ("frame", TensorProto.UINT8, ["H", "W", 3]), CLASSES)
    _add_mobilenet(builder, builder.add("Unsqueeze", ["pixels", axis]), axis)
    return _finish(builder, ("pixels", TensorProto.FLOAT, [SIDE, SIDE, 3]), CLASSES)


def _add_resize(builder: _Builder, axis: str) -> str:
    """`frame` uint8 [H, W, 3] to scaled pixels float32 [1, 96, 96, 3]."""
    four = builder.add("Unsqueeze", ["frame", axis])
    size = builder.constant(np.array([1, SIDE, SIDE, 3], np.int64))
    small = builder.add("Resize", [four, "", "", size], mode="linear", coordinate_transformation_mode="half_pixel")
    pixels = builder.add("Cast", [small], to=TensorProto.FLOAT)
    return builder.add("Mul", [pixels, builder.constant(np.array(1 / 127.5, np.float32))])


def _add_mobilenet(builder: _Builder, scaled: str, axis: str) -> None:
    """Inverted residual blocks, 1280 features, `scores` [10]."""
    planes = builder.add("Transpose", [scaled], perm=[0, 3, 1, 2])
    value = builder.relu6(builder.convolution(planes, (3, 16), 3, 2))
    channels = 16
    for expansion, wanted, times, first_stride in _MOBILENET:
        for index in range(times):
            stride, wide = (1 if index else first_stride), channels * expansion
            inner = builder.relu6(builder.convolution(value, (channels, wide), 1, 1)) if expansion > 1 else value
            inner = builder.relu6(builder.convolution(inner, (wide, wide), 3, stride, group=wide))
            inner = builder.convolution(inner, (wide, wanted), 1, 1)
            value = builder.add("Add", [inner, value]) if stride == 1 and channels == wanted else inner
            channels = wanted
    value = builder.relu6(builder.convolution(value, (channels, 1280), 1, 1))
    _add_scores(builder, value, 1280, axis)


def _add_scores(builder: _Builder, value: str, channels: int, axis: str) -> None:
    """Features [1, channels, h, w] to `scores` [10]."""
    mean = builder.add("ReduceMean", [value, builder.constant(np.array([2, 3], np.int64))], keepdims=0)
    weights = builder.constant(builder.random.normal(0, 0.1, (channels, CLASSES)).astype(np.float32))
    row = builder.add("Softmax", [builder.add("MatMul", [mean, weights])], axis=-1)
    builder.add("Squeeze", [row, axis], "scores")


def make_mlp() -> bytes:
    """Features float32 [33] to scores [4]: 33-20-10-4."""
    builder = _Builder()
    value = builder.add("Unsqueeze", ["features", builder.constant(np.array([0], np.int64))])
    sizes = (MLP_INPUTS, 20, 10, 4)
    for index, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights = builder.random.normal(0, 0.3, (before, after)).astype(np.float32)
        inputs = [value, builder.constant(weights), builder.constant(np.zeros(after, np.float32))]
        value = builder.add("Gemm", inputs)
        if index < len(sizes) - 2:
            value = builder.add("Relu", [value])
    row = builder.add("Softmax", [value], axis=-1)
    builder.add("Squeeze", [row, builder.constant(np.array([0], np.int64))], "scores")
    return _finish(builder, ("features", TensorProto.FLOAT, [MLP_INPUTS]), sizes[-1])


def _finish(builder: _Builder, source: tuple[str, int, list[object]], classes: int) -> bytes:
    inputs = [helper.make_tensor_value_info(*source)]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [classes])]
    graph = helper.make_graph(builder.nodes, "benchmark", inputs, outputs, builder.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def make_session(model: bytes):  # noqa: ANN201  (the library has no types)
    """A bare session: one thread, no spinning."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_sample(kind: str) -> dict[str, np.ndarray]:
    """One raw input."""
    random = np.random.default_rng(1)
    if kind in {"cnn", "mobilenet"}:
        height, width, _ = FRAME_SHAPE
        slope = np.linspace(0, 200, width)[None, :, None] * np.linspace(0.3, 1, height)[:, None, None]
        noise = random.normal(20, 4, FRAME_SHAPE)
        return {"frame": np.clip(slope * [1.0, 0.8, 0.6] + noise, 0, 255).astype(np.uint8)}
    if kind == "mobilenet-float":
        return {"pixels": make_sample("cnn")["frame"][:SIDE, :SIDE].astype(np.float32) * np.float32(1 / 127.5)}
    return {"features": random.normal(0, 1, MLP_INPUTS).astype(np.float32)}


_KINDS = {
    "cnn": (make_cnn, TensorSpec("frame", "uint8", (-1, -1, 3))),
    "mobilenet": (lambda: make_mobilenet(frame=True), TensorSpec("frame", "uint8", (-1, -1, 3))),
    "mobilenet-float": (lambda: make_mobilenet(frame=False), TensorSpec("pixels", "float32", (SIDE, SIDE, 3))),
    "mlp": (make_mlp, TensorSpec("features", "float32", (MLP_INPUTS,))),
}


def make_package(folder: Path, kind: str) -> Package:
    """A signed package of the `cnn`, the `mlp`, or the `mobilenet` of either input (`mobilenet-float`)."""
    folder.mkdir(parents=True)
    make_model, spec = _KINDS[kind]
    model = make_model()
    sample = make_sample(kind)
    scores = make_session(model).run(["scores"], sample)[0]
    classes = len(scores)
    arrays = {golden_input_key(0, name): array for name, array in sample.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{golden_output_key(0, VARIANT, "scores"): scores})
    reference = Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.5] * 50), {}, 50)
    for name, data in (
        ("model.onnx", model),
        ("golden.npz", buffer.getvalue()),
        ("reference.json", msgspec.json.encode(reference)),
        ("report.json", b'{"schema_version":1}'),
        ("model_card.md", b"# benchmark\n"),
    ):
        write_atomic(folder / name, data)
    manifest = Manifest(
        schema_version=1,
        name=kind,
        version=1,
        task="tabular-classification" if kind == "mlp" else "image-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=tuple(f"class-{index}" for index in range(classes)),
        inputs=(spec,),
        outputs=(TensorSpec("scores", "float32", (classes,)),),
        variants={VARIANT: Variant("onnx", "float32", "none", "model.onnx", opset=20)},
        files=list_files(folder, (path.name for path in folder.iterdir())),
        golden_count=1,
    )
    key = generate_key()
    write_manifest(folder, manifest, key)
    return open_package(folder, {kind: key.public})
