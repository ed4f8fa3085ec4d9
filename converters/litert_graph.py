"""Small operations on TFLite files that several steps share."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from contract.files import read_bounded, write_atomic
from converters.errors import StepError

FLATBUFFER_MAX_BYTES = (2 << 30) - 1
_SIGNATURE = b"serving_default"
_ELEMENTWISE = ("CAST", "MUL", "SUB", "DIV", "ADD")


class Signature(NamedTuple):
    """The first signature of a TFLite file, with the names of its inputs."""

    key: str
    inputs: tuple[str, ...]


def read_signature(file: Path) -> Signature:
    """The signature that calibration feeds.

    Raises:
        StepError: the file has none.
    """
    from ai_edge_litert.interpreter import Interpreter

    signatures = Interpreter(model_path=str(file), num_threads=1).get_signature_list()
    for key, tensors in signatures.items():
        return Signature(key, tuple(tensors["inputs"]))
    raise StepError(f"{file.name} has no signature")


def with_signature(data: bytes) -> bytes:
    """A TFLite file's bytes with a signature named after its tensors where it has none (older converters wrote none).

    Calibration feeds samples through a signature.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    if model.signatureDefs:
        return data
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    signature.inputs, signature.outputs = ([_tensor_map(graph, index) for index in side] for side in (graph.inputs, graph.outputs))
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _tensor_map(graph: Any, index: int) -> Any:  # noqa: ANN401
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = graph.tensors[index].name, index
    return entry


def normalisation_tensors(data: bytes) -> list[str]:
    """Names of the results of element-wise operators between the input and the first other operator.

    Left in floating point they cost less time and less accuracy than quantized.
    """
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    model = tfl_flatbuffer_utils.read_model(data)
    graph = model.subgraphs[0]
    known = set(graph.inputs)
    names = []
    for operator in graph.operators:
        kind = tfl_flatbuffer_utils.TFL_OP_CODE_TO_NAME.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if (kind.value if kind else "CAST") not in _ELEMENTWISE or not known & set(operator.inputs):
            break
        known.update(operator.outputs)
        names += [_text(graph.tensors[index].name) for index in operator.outputs]
    return names


def quantize(data: bytes, recipe: Any, output: Path, ranges: dict[str, Any] | None = None) -> None:  # noqa: ANN401
    """Run ai-edge-quantizer over a TFLite file's bytes and write the result."""
    from ai_edge_quantizer import quantizer

    result = quantizer.Quantizer(data, recipe).quantize(ranges, enable_progress_report=False)
    write_atomic(output, bytes(result.quantized_model))


def read_model(file: Path) -> bytes:
    """The bytes of a TFLite file of at most 2 GiB."""
    return read_bounded(file, FLATBUFFER_MAX_BYTES)


def weight_types(file: Path) -> set[str]:
    """Types of all tensors, e.g. `float32`, `int8`."""
    from ai_edge_litert.interpreter import Interpreter

    details: Iterable[Any] = Interpreter(model_path=str(file), num_threads=1).get_tensor_details()
    return {tensor["dtype"].__name__ for tensor in details if tensor["shape"].size}


def _text(name: Any) -> str:  # noqa: ANN401
    return name.decode() if isinstance(name, bytes) else str(name)
