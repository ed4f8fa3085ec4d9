"""Looks through an ONNX file, without loading it, for what a package may not hold.

Refused are external data (a path chosen by whoever made the file), operators of domains that are
not part of ONNX Runtime (they would need a native library) and training information. The walk reads
the protobuf wire format itself, since a device does not have the `onnx` package; field numbers are
those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from collections.abc import Iterator
from typing import NamedTuple

from edge_agent.engine.errors import ModelRefusedError

BUILT_IN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_MAX_DEPTH = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}

# What to do with a length-delimited field, by kind of message and field number.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_DOMAIN_FIELD = {"node": 7, "function": 10}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


class _Field(NamedTuple):
    number: int
    value: int  # of a varint; else the start of the content
    end: int  # of the content; 0 for numbers


def screen_model(data: bytes, name: str) -> None:
    """Check an ONNX file's bytes.

    Raises:
        ModelRefusedError: external data, a custom operator, training information, or not ONNX.
    """
    view = memoryview(data)
    domains: set[str] = set()
    own: set[str] = set()
    stack = [("model", 0, len(view), 0)]
    try:
        while stack:
            kind, start, end, depth = stack.pop()
            if depth > _MAX_DEPTH:
                raise ModelRefusedError(f"{name} nests graphs deeper than {_MAX_DEPTH}")
            for field in _fields(view, start, end):
                _check_field(kind, field, name)
                if field.end and field.number == _DOMAIN_FIELD.get(kind):
                    (domains if kind == "node" else own).add(bytes(view[field.value : field.end]).decode())
                elif field.end and (child := _CHILDREN[kind].get(field.number)):
                    stack.append((child, field.value, field.end, depth + 1))
    except (IndexError, ValueError) as error:
        raise ModelRefusedError(f"{name} is no ONNX file: its structure is broken") from error
    foreign = sorted(domains - own - BUILT_IN_DOMAINS)
    if foreign:
        raise ModelRefusedError(
            f"{name} needs operators of {', '.join(foreign)[:120]}, which come in a native library; a package holds no code"
        )


def _check_field(kind: str, field: _Field, name: str) -> None:
    if kind == "tensor" and (field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value != 0)):
        raise ModelRefusedError(f"{name} keeps weights in another file (external data); export it as one file")
    if kind == "model" and _CHILDREN[kind].get(field.number) == "training":
        raise ModelRefusedError(f"{name} holds training information; export it for inference")


def _fields(view: memoryview, start: int, end: int) -> Iterator[_Field]:
    position = start
    while position < end:
        tag, position = _varint(view, position, end)
        wire = tag & 7
        if wire == _VARINT:
            value, position = _varint(view, position, end)
            yield _Field(tag >> 3, value, 0)
            continue
        length = _FIXED.get(wire)
        if wire == _BYTES:
            length, position = _varint(view, position, end)
        if length is None or position + length > end:
            raise ValueError(wire)
        if wire == _BYTES and length:
            yield _Field(tag >> 3, position, position + length)
        position += length


def _varint(view: memoryview, position: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            raise ValueError(position)
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return value, position
    raise ValueError(position)
