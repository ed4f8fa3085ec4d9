"""Tensors of the Open Inference Protocol: JSON lists or raw little-endian bytes, with the types' names.

Specification: https://github.com/kserve/open-inference-protocol and the binary tensor data extension
of https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md.
"""

import struct
from typing import Any

import numpy as np

DATATYPES = {
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bool": "BOOL",
    "string": "BYTES",
}
RAW_DTYPES = {name: np.dtype(np.dtype(name).newbyteorder("<").str) for name in DATATYPES if name != "string"}
"""The types that go as raw bytes: all but text."""
RAW_HERE = frozenset(name for name, dtype in RAW_DTYPES.items() if dtype == np.dtype(name))
"""Those whose raw bytes are what an array holds in the memory of this machine."""
_AS_IT_IS = frozenset(RAW_DTYPES[name] for name in RAW_HERE)
_BY_DTYPE = {np.dtype(name): datatype for name, datatype in DATATYPES.items() if name != "string"}
_KINDS = {"u": "iu", "i": "iu", "f": "iuf", "b": "b"}
_LENGTH = struct.Struct("<I")


class TensorError(Exception):
    """The data of a tensor is not what its datatype and shape say."""


def decode_json(data: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray:  # noqa: ANN401  (decoded JSON)
    """A flat or nested list as an array of `shape`; nothing is rounded or wrapped.

    Raises:
        TensorError: other elements than `dtype` holds, or another number of them.
    """
    if dtype == "string":
        return _shaped(np.array(_flat_strings(data), object), shape)
    try:
        found = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise TensorError("the nested lists are ragged or hold mixed types") from error
    wanted = np.dtype(dtype)
    if found.size and found.dtype.kind not in _KINDS[wanted.kind]:
        raise TensorError(f"the data holds other elements than {DATATYPES[dtype]}")
    if wanted.kind in "ui" and found.size:
        limits = np.iinfo(wanted)
        if found.min() < limits.min or found.max() > limits.max:
            raise TensorError(f"a value is outside {limits.min} to {limits.max}")
    return _shaped(found.astype(wanted), shape)


def _flat_strings(data: Any) -> list[str]:  # noqa: ANN401
    flat: list[str] = []
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, str):
            flat.append(item)
        else:
            raise TensorError("a BYTES tensor in JSON holds text only")
    return flat


def decode_text(data: memoryview, shape: tuple[int, ...]) -> np.ndarray:
    """The elements of a BYTES tensor, each its length (4 bytes) and UTF-8 text, as objects of `shape`.

    Raises:
        TensorError: another number of them than the shape says, or text that is not UTF-8.
    """
    return _shaped(np.array(_binary_strings(data), object), shape)


def _binary_strings(data: memoryview) -> list[str]:
    strings = []
    position = 0
    try:
        while position < len(data):
            (length,) = _LENGTH.unpack_from(data, position)
            position += _LENGTH.size
            if position + length > len(data):
                raise TensorError("a BYTES element is longer than the data")
            strings.append(bytes(data[position : position + length]).decode())
            position += length
    except (struct.error, UnicodeDecodeError) as error:
        raise TensorError("the BYTES tensor is broken: each element is its length (4 bytes) and UTF-8 text") from error
    return strings


def _shaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    count = 1
    for axis in shape:
        count *= axis
    if array.size != count:
        raise TensorError(f"shape {list(shape)} needs {count} elements, the data has {array.size}")
    return array.reshape(shape)


def encode_binary(array: np.ndarray) -> bytes:
    """Raw little-endian bytes; text as length and UTF-8."""
    dtype = array.dtype
    if dtype in _AS_IT_IS:
        return array.tobytes()
    if dtype.kind in "OU":
        texts = [str(text).encode() for text in array.flat]
        return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
    return array.astype(dtype.newbyteorder("<"), copy=False).tobytes()


def datatype_of(array: np.ndarray) -> str:
    """Name of an array's type in the protocol."""
    return _BY_DTYPE.get(array.dtype, "BYTES")
