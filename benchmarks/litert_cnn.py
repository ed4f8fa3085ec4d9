"""The benchmarks' small CNN (same blocks, random weights) as a LiteRT file, written without any converter, and its package."""

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.small_models import _BLOCKS, CLASSES, SIDE, make_sample
from contract.files import write_atomic
from contract.manifest import HostStep, Manifest, TensorSpec, Variant, golden_input_key, golden_output_key
from contract.package import Package, list_files, open_package, write_manifest
from contract.reference import Reference
from contract.signing import generate_key
from contract.sketches import CONFIDENCE_BOUNDS, Histogram
from edge_agent.engine.engine import open_variant
from edge_agent.engine.model_spec import ModelSpec

LITERT = "litert-float32"


class _Graph:
    """Collects tensors, weights and operators of one TFLite graph."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.random = np.random.default_rng(0)
        self.buffers, self.tensors, self.operators = [schema.BufferT()], [], []
        self.codes: dict[int, int] = {}

    def tensor(self, shape: tuple[int, ...], kind: int | None = None, data: np.ndarray | None = None) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self.tensors)}", list(shape)
        tensor.type = self.schema.TensorType.FLOAT32 if kind is None else kind
        tensor.buffer = 0
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.buffers.append(buffer)
            tensor.buffer = len(self.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def weights(self, *shape: int) -> int:
        fan_in = int(np.prod(shape[1:]))
        return self.tensor(shape, data=self.random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32))

    def add(self, kind: str, inputs: list[int], shape: tuple[int, ...], options: str, **values: object) -> int:
        schema, output = self.schema, self.tensor(shape)
        operator, chosen = schema.OperatorT(), getattr(schema, f"{options}T")()
        for name, value in values.items():
            setattr(chosen, name, value)
        operator.opcodeIndex = self.codes.setdefault(getattr(schema.BuiltinOperator, kind), len(self.codes))
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptions, operator.builtinOptionsType = chosen, getattr(schema.BuiltinOptions, options)
        self.operators.append(operator)
        return output

    def convolution(self, source: int, shape: tuple[int, int, int], size: int, stride: int, *, relu: bool = True) -> int:
        """`shape` is side of the output, channels in and out."""
        side, before, after = shape
        inputs = [source, self.weights(after, size, size, before), self.tensor((after,), data=np.zeros(after, np.float32))]
        common = {"strideW": stride, "strideH": stride, "fusedActivationFunction": int(relu)}
        return self.add("CONV_2D", inputs, (1, side, side, after), "Conv2DOptions", **common)

    def depthwise(self, source: int, shape: tuple[int, int], stride: int) -> int:
        """`shape` is side of the output and channels."""
        side, channels = shape
        weights = self.tensor((1, 3, 3, channels), data=self.random.normal(0, 0.47, (1, 3, 3, channels)).astype(np.float32))
        inputs = [source, weights, self.tensor((channels,), data=np.zeros(channels, np.float32))]
        common = {"strideW": stride, "strideH": stride, "depthMultiplier": 1, "fusedActivationFunction": 1}
        return self.add("DEPTHWISE_CONV_2D", inputs, (1, side, side, channels), "DepthwiseConv2DOptions", **common)

    def finish(self, source: int, scores: int) -> bytes:
        import flatbuffers

        schema, graph, model = self.schema, self.schema.SubGraphT(), self.schema.ModelT()
        self.tensors[source].name, self.tensors[scores].name = "frame", "scores"
        graph.name, graph.tensors, graph.operators = "main", self.tensors, self.operators
        graph.inputs, graph.outputs = [source], [scores]
        model.version, model.buffers, model.subgraphs, model.operatorCodes = 3, self.buffers, [graph], []
        for kind in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind
            code.version = 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def make_litert_cnn() -> bytes:
    """`frame` uint8 (1, 96, 96, 3) to `scores` float32 (1, 10)."""
    graph = _Graph()
    schema = graph.schema
    source = graph.tensor((1, SIDE, SIDE, 3), schema.TensorType.UINT8)
    kinds = {"inDataType": schema.TensorType.UINT8, "outDataType": schema.TensorType.FLOAT32}
    pixels = graph.add("CAST", [source], (1, SIDE, SIDE, 3), "CastOptions", **kinds)
    scale = graph.tensor((1,), data=np.array([1 / 127.5], np.float32))
    value = graph.add("MUL", [pixels, scale], (1, SIDE, SIDE, 3), "MulOptions")
    side, channels = SIDE // 2, 16
    value = graph.convolution(value, (side, 3, channels), 3, 2)
    for wanted, stride in _BLOCKS:
        wide = graph.convolution(value, (side, channels, channels * 4), 1, 1)
        side = -(-side // stride)
        deep = graph.depthwise(wide, (side, channels * 4), stride)
        value, channels = graph.convolution(deep, (side, channels * 4, wanted), 1, 1, relu=False), wanted
    axes = graph.tensor((2,), schema.TensorType.INT32, np.array([1, 2], np.int32))
    mean = graph.add("MEAN", [value, axes], (1, channels), "ReducerOptions")
    bias = graph.tensor((CLASSES,), data=np.zeros(CLASSES, np.float32))
    logits = graph.add("FULLY_CONNECTED", [mean, graph.weights(CLASSES, channels), bias], (1, CLASSES), "FullyConnectedOptions")
    return graph.finish(source, graph.add("SOFTMAX", [logits], (1, CLASSES), "SoftmaxOptions", beta=1.0))


def make_litert_package(folder: Path) -> Package:
    """A signed package of the LiteRT CNN: frames of any size, resized by the canonical host step."""
    folder.mkdir(parents=True)
    write_atomic(folder / "model.tflite", make_litert_cnn())
    resize = HostStep("resize", {"height": SIDE, "width": SIDE, "mode": "linear"})
    variant = Variant("litert", "float32", "none", "model.tflite", pipeline=(resize,))
    manifest = Manifest(
        schema_version=1,
        name="cnn",
        version=1,
        task="image-classification",
        created_at="2026-01-01T00:00:00.000Z",
        labels=tuple(f"class-{index}" for index in range(CLASSES)),
        inputs=(TensorSpec("frame", "uint8", (-1, -1, 3)),),
        outputs=(TensorSpec("scores", "float32", (CLASSES,)),),
        variants={LITERT: variant},
        files={},
        golden_count=1,
    )
    sample, buffer = make_sample("cnn"), io.BytesIO()
    with open_variant(folder / "model.tflite", variant, ModelSpec.of(manifest)) as engine:
        scores = engine.run(sample)["scores"]
    np.savez(buffer, **{golden_input_key(0, "frame"): sample["frame"], golden_output_key(0, LITERT, "scores"): scores})
    write_atomic(folder / "golden.npz", buffer.getvalue())
    write_atomic(folder / "reference.json", msgspec.json.encode(Reference(1, Histogram.of(CONFIDENCE_BOUNDS, [0.5] * 50), {}, 50)))
    write_atomic(folder / "report.json", b'{"schema_version":1}')
    write_atomic(folder / "model_card.md", b"# benchmark\n")
    key = generate_key()
    files = list_files(folder, (path.name for path in folder.iterdir()))
    write_manifest(folder, msgspec.structs.replace(manifest, files=files), key)
    return open_package(folder, {"cnn": key.public})
