"""An array in NumPy's NPY format as a body: its header is matched, never evaluated, and nothing is unpickled.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import re
import struct
from typing import NamedTuple

import numpy as np

from edge_agent.engine.errors import InputError

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 1000
MAX_AXES = 32

_LENGTHS = {(1, 0): struct.Struct("<H"), (2, 0): struct.Struct("<I")}
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?[biufc?][0-9]{0,2})',\s*'fortran_order':\s*(True|False),\s*"
    rb"'shape':\s*\(\s*((?:[0-9]{1,15}\s*,\s*)*(?:[0-9]{1,15})?)\s*\),?\s*\}\s*"
).fullmatch


class _Header(NamedTuple):
    dtype: np.dtype
    order: str
    shape: tuple[int, ...]
    end: int


def decode_npy(body: bytes) -> np.ndarray:
    """The array of numbers that the bytes hold, sharing their memory.

    Raises:
        InputError: no NPY, a newer version of it, anything but numbers, or another length than its header says.
    """
    header = _read_header(body)
    count = 1
    for axis in header.shape:
        count *= axis
    needed, there = count * header.dtype.itemsize, len(body) - header.end
    if there != needed:
        raise InputError(f"the array needs {needed} bytes for {header.dtype} {header.shape}, the body has {there}")
    if not count:
        raise InputError(f"the array of shape {header.shape} is empty")
    flat = np.frombuffer(body, header.dtype, count, header.end)
    return flat.reshape(header.shape, order="F" if header.order == "F" else "C")


def _read_header(body: bytes) -> _Header:
    version = tuple(body[6:8])
    if not body.startswith(MAGIC) or len(version) != 2:  # noqa: PLR2004  (major, minor)
        raise InputError(f"the bytes are no NPY array; they begin with {body[:8]!r}")
    length_of = _LENGTHS.get(version)
    if length_of is None:
        raise InputError(f"NPY of version {version[0]}.{version[1]} is not taken; 1.0 and 2.0 are")
    begin = 8 + length_of.size
    length = length_of.unpack_from(body, 8)[0] if len(body) >= begin else 0
    found = _HEADER(body[begin : begin + length]) if length <= MAX_HEADER_BYTES else None
    if found is None:
        raise InputError(f"the header of the NPY array names no plain array of numbers: {body[begin : begin + 60]!r}")
    shape = tuple(int(axis) for axis in found[3].split(b",") if axis.strip())
    try:
        dtype = np.dtype(found[1].decode())
    except TypeError as error:
        raise InputError(f"the NPY array has the unknown type {found[1].decode()!r}") from error
    if len(shape) > MAX_AXES:
        raise InputError(f"the NPY array has {len(shape)} axes, at most {MAX_AXES} are taken")
    return _Header(dtype, "F" if found[2] == b"True" else "C", shape, begin + length)
