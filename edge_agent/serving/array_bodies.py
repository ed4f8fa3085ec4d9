"""An array in NumPy's NPY format as a body: only its header is interpreted, nothing is unpickled.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import io

import numpy as np

from edge_agent.engine.errors import InputError

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 10_000
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def decode_npy(body: bytes) -> np.ndarray:
    """The array that the bytes hold, sharing their memory.

    Raises:
        InputError: no NPY, a newer version of it, Python objects, or another length than its header says.
    """
    shape, fortran_order, dtype, begin = _read_header(body)
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        raise InputError(f"an array of {str(dtype)[:60]} is not taken; numbers are")
    count = 1
    for axis in shape:
        count *= axis
    if len(body) - begin != count * dtype.itemsize:
        raise InputError(f"the array needs {count * dtype.itemsize} bytes for {dtype} {shape}, the body has {len(body) - begin}")
    if not count:
        raise InputError(f"the array of shape {shape} is empty")
    return np.frombuffer(body, dtype, count, begin).reshape(shape, order="F" if fortran_order else "C")


def _read_header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    stream = io.BytesIO(body[: MAX_HEADER_BYTES + 16])
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADER_READERS:
            raise InputError(f"NPY of version {version[0]}.{version[1]} is not taken; 1.0 and 2.0 are")
        shape, fortran_order, dtype = _HEADER_READERS[version](stream, max_header_size=MAX_HEADER_BYTES)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise InputError(f"the bytes are no NPY array: {str(error).splitlines()[0][:160] if str(error) else 'broken'}") from error
    if any(axis < 0 for axis in shape):
        raise InputError(f"the array's shape {shape} is impossible")
    return shape, fortran_order, dtype, stream.tell()
