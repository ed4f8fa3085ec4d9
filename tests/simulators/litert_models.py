"""The colour classifier of `tests.simulators.packages` as a `.tflite` file, written without any converter."""

from typing import Any

import numpy as np


def make_litert_model(centres: np.ndarray, gain: float, side: int) -> bytes:
    """A TFLite file: `frame` uint8 (1, side, side, 3) to `scores` float32 (1, classes) for colours (classes, 3)."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    classes = len(centres)
    uint8, float32, int32 = schema.TensorType.UINT8, schema.TensorType.FLOAT32, schema.TensorType.INT32
    buffers = [schema.BufferT()]
    weights = (2 * gain * centres / 255).astype(np.float32)
    bias = (-gain * (centres**2).sum(axis=1)).astype(np.float32)
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [
        _tensor(schema, "frame", (1, side, side, 3), uint8),
        _tensor(schema, "pixels", (1, side, side, 3), float32),
        _tensor(schema, "axes", (2,), int32, _buffer(schema, buffers, np.array([1, 2], np.int32))),
        _tensor(schema, "mean", (1, 3), float32),
        _tensor(schema, "weights", (classes, 3), float32, _buffer(schema, buffers, weights)),
        _tensor(schema, "bias", (classes,), float32, _buffer(schema, buffers, bias)),
        _tensor(schema, "logits", (1, classes), float32),
        _tensor(schema, "scores", (1, classes), float32),
    ]
    graph.inputs, graph.outputs = [0], [7]
    model = schema.ModelT()
    model.version = 3
    model.description = "colours"
    model.buffers = buffers
    model.operatorCodes, graph.operators = _operators(schema)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operators(schema: Any) -> tuple[list[Any], list[Any]]:
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.UINT8, schema.TensorType.FLOAT32
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    kinds, options = schema.BuiltinOperator, schema.BuiltinOptions
    rows = [
        (kinds.CAST, [0], [1], cast, options.CastOptions),
        (kinds.MEAN, [1, 2], [3], schema.ReducerOptionsT(), options.ReducerOptions),
        (kinds.FULLY_CONNECTED, [3, 4, 5], [6], schema.FullyConnectedOptionsT(), options.FullyConnectedOptions),
        (kinds.SOFTMAX, [6], [7], softmax, options.SoftmaxOptions),
    ]
    codes, operators = [], []
    for index, (kind, inputs, outputs, builtin, builtin_kind) in enumerate(rows):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = index, inputs, outputs
        operator.builtinOptions, operator.builtinOptionsType = builtin, builtin_kind
        operators.append(operator)
    return codes, operators


def _tensor(schema: Any, name: str, shape: tuple[int, ...], kind: int, buffer: int = 0) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    return tensor


def _buffer(schema: Any, buffers: list[Any], array: np.ndarray) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    buffers.append(buffer)
    return len(buffers) - 1
