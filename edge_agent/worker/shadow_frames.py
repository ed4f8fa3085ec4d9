"""A sample and the answer to it on their way from the worker that serves to the candidate in its shadow: bytes and back.

`4 bytes length, header (MessagePack), the arrays' bytes`. Both ends are of the same program, and neither trusts a length.
"""

import asyncio
import math
import struct

import msgspec
import numpy as np

from contract.codec import shorten
from contract.errors import FormatError
from edge_agent.engine.engine import Prediction, Sample

HEAD = struct.Struct(">II")  # length of the header, of the arrays
HEADER_MAX_BYTES = 1 << 20
FRAME_MAX_BYTES = 16 << 20


class ArrayHead(msgspec.Struct, frozen=True, array_like=True):
    """One array; text travels as fixed-width strings and becomes objects again."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_text: bool = False


class PairHead(msgspec.Struct, frozen=True, array_like=True):
    """What the version that serves answered. `source` names the sample where an application's source brought it; `dropped` so far."""

    label: str
    score: float
    scores: list[float]
    latency_us: float
    at: str
    source: str
    dropped: int
    arrays: tuple[ArrayHead, ...]


class Pair(msgspec.Struct, frozen=True):
    """One frame, decoded."""

    head: PairHead
    sample: dict[str, np.ndarray]


_DECODER = msgspec.msgpack.Decoder(PairHead)


def size_of(sample: Sample) -> int:
    """Bytes of a sample's arrays."""
    return sum(array.nbytes for array in sample.values())


def encode_pair(sample: Sample, prediction: Prediction, *, at: str, source: str, dropped: int) -> bytes:
    """One frame; a copy, so that the sample's memory may be used again at once."""
    heads, bodies = [], []
    for name, array in sample.items():
        is_text = array.dtype.kind == "O"
        plain = np.ascontiguousarray(array.astype(str) if is_text else array)
        heads.append(ArrayHead(name, plain.dtype.str, array.shape, is_text))
        bodies.append(plain.tobytes())
    head = PairHead(
        label=prediction.label,
        score=prediction.score,
        scores=[float(score) for score in prediction.scores],
        latency_us=prediction.latency_us,
        at=at,
        source=source,
        dropped=dropped,
        arrays=tuple(heads),
    )
    header = msgspec.msgpack.encode(head)
    return b"".join((HEAD.pack(len(header), sum(map(len, bodies))), header, *bodies))


async def read_pair(stream: asyncio.StreamReader) -> Pair | None:
    """The next frame; None at the end.

    Raises:
        FormatError: it is too long, or not a frame.
    """
    try:
        header_bytes, body_bytes = HEAD.unpack(await stream.readexactly(HEAD.size))
        if header_bytes > HEADER_MAX_BYTES or body_bytes > FRAME_MAX_BYTES:
            raise FormatError(f"a pair of {header_bytes} + {body_bytes} bytes is too long")
        header, body = await stream.readexactly(header_bytes), await stream.readexactly(body_bytes)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return decode_pair(header, body)


def decode_pair(header: bytes, body: bytes) -> Pair:
    """A frame's two parts as a pair; raises FormatError."""
    try:
        head = _DECODER.decode(header)
        sample, offset = {}, 0
        for array in head.arrays:
            dtype = np.dtype(array.dtype)
            count = math.prod(array.shape)
            plain = np.frombuffer(body, dtype, count, offset).reshape(array.shape)
            sample[array.name] = plain.astype(object) if array.is_text else plain
            offset += count * dtype.itemsize
    except (msgspec.DecodeError, ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        raise FormatError(f"a pair can not be read: {shorten(error)}") from error
    return Pair(head, sample)
