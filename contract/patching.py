"""The two patch formats, made in memory and applied in pieces; needs `zstandard` and neither numpy nor a whole target in memory.

`zstd`: one frame, compressed with the base as raw dictionary (what `zstd --patch-from` does).
`difference`: magic, number of segments (u32), per segment length and place in the base (u32, u32;
`NO_BASE` for none), all little-endian; then one zstd frame with target minus base, byte by byte
modulo 256. Fine-tuning moves most weights a little: their differences are small numbers, which
compress well where the weights themselves do not.
"""

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import zstandard

from contract.alignment import NO_BASE, Segment, align
from contract.bytewise import add_bytes, subtract_bytes
from contract.deltas import PATCHED_MAX_BYTES, PatchKind
from contract.errors import FormatError, SizeError

MAGIC = b"EYELET-D1\n"
LEVEL = 19
SEGMENTS_MAX = 1 << 16
WINDOW_MAX_LOG = 27
"""Both files fit into this window, and no frame may ask a reader for a larger one."""
_PIECE_BYTES = 1 << 16
_SEGMENT = struct.Struct("<II")
_COUNT = struct.Struct("<I")


def make_patch(kind: PatchKind, base: bytes, target: bytes) -> bytes:
    """A patch from `base` (empty for none) to `target`.

    Raises:
        SizeError: one of the files is longer than `PATCHED_MAX_BYTES`.
    """
    if max(len(base), len(target)) > PATCHED_MAX_BYTES:
        raise SizeError(f"files of more than {PATCHED_MAX_BYTES} bytes are not patched")
    return _make_zstd(base, target) if kind is PatchKind.ZSTD else _make_difference(base, target)


def _make_zstd(base: bytes, target: bytes) -> bytes:
    window_log = max(10, min(WINDOW_MAX_LOG, (len(base) + len(target)).bit_length()))
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, source_size=len(target), dict_size=len(base), window_log=window_log, enable_ldm=bool(base)
    )
    dictionary = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT) if base else None
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(target)


def _make_difference(base: bytes, target: bytes) -> bytes:
    segments = align(base, target, SEGMENTS_MAX)
    head = MAGIC + _COUNT.pack(len(segments)) + b"".join(_SEGMENT.pack(*segment) for segment in segments)
    return head + zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(_differences(base, target, segments)))


def _differences(base: bytes, target: bytes, segments: list[Segment]) -> Iterator[bytes]:
    start = 0
    for length, place in segments:
        for offset in range(0, length, _PIECE_BYTES):
            end = min(offset + _PIECE_BYTES, length)
            new = target[start + offset : start + end]
            yield new if place == NO_BASE else subtract_bytes(new, base[place + offset : place + end])
        start += length


class Job(NamedTuple):
    """A patch to apply: `base` is None where the patch needs none; `size_bytes` is what must come out."""

    kind: PatchKind
    base: Path | None
    patch: Path
    size_bytes: int


def apply_patch(job: Job, write: Callable[[bytes], object]) -> None:
    """Write the target in pieces, never more than `job.size_bytes`; its digest is for the caller to verify.

    Raises:
        FormatError: the patch is broken, or is not of this base.
        SizeError: more or less than `job.size_bytes` would come out, or a file is too large.
        OSError: a file can not be read.
    """
    if max(job.size_bytes, job.base.stat().st_size if job.base else 0) > PATCHED_MAX_BYTES:
        raise SizeError(f"files of more than {PATCHED_MAX_BYTES} bytes are not patched")
    pieces = _apply_zstd(job) if job.kind is PatchKind.ZSTD else _apply_difference(job)
    left = job.size_bytes
    try:
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise SizeError(f"the patch makes more than the {job.size_bytes} bytes that were promised")
            write(piece)
    except (zstandard.ZstdError, struct.error, MemoryError) as error:
        raise FormatError(f"the patch is broken: {error}") from error
    if left:
        raise SizeError(f"the patch makes {left} bytes less than the {job.size_bytes} that were promised")


def _apply_zstd(job: Job) -> Iterator[bytes]:
    dictionary = zstandard.ZstdCompressionDict(job.base.read_bytes(), dict_type=zstandard.DICT_TYPE_RAWCONTENT) if job.base else None
    with job.patch.open("rb") as file:
        yield from _unpack(file, dictionary)


def _unpack(file: BinaryIO, dictionary: zstandard.ZstdCompressionDict | None = None) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << WINDOW_MAX_LOG)
    with unpacker.stream_reader(file, closefd=False) as reader:
        while piece := reader.read(_PIECE_BYTES):
            yield piece


def _apply_difference(job: Job) -> Iterator[bytes]:
    if job.base is None:
        raise FormatError("a patch of differences needs a base")
    with job.patch.open("rb") as file, job.base.open("rb") as base:
        segments = _read_segments(file, base.seek(0, io.SEEK_END))
        unpacked = _Rest(_unpack(file))
        for length, place in segments:
            if place != NO_BASE:
                base.seek(place)
            for offset in range(0, length, _PIECE_BYTES):
                piece = unpacked.take(min(_PIECE_BYTES, length - offset))
                yield piece if place == NO_BASE else add_bytes(piece, base.read(len(piece)))
        if unpacked.more():
            raise FormatError("the patch is broken: there is more in it than its segments say")


def _read_segments(file: BinaryIO, base_bytes: int) -> list[Segment]:
    if file.read(len(MAGIC)) != MAGIC:
        raise FormatError("the patch is no patch of differences")
    (count,) = _COUNT.unpack(file.read(_COUNT.size))
    if count > SEGMENTS_MAX:
        raise SizeError(f"the patch has {count} segments, at most {SEGMENTS_MAX} are accepted")
    segments = [Segment(*_SEGMENT.unpack(file.read(_SEGMENT.size))) for _ in range(count)]
    if any(segment.place != NO_BASE and segment.place + segment.length > base_bytes for segment in segments):
        raise FormatError("the patch reaches beyond the end of its base")
    return segments


class _Rest:
    """Pieces of any length, taken in pieces of wanted lengths."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def take(self, length: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._rest) < length:
            piece = next(self._pieces, b"")
            if not piece:
                raise FormatError("the patch is broken: it ends early")
            self._rest += piece
        taken, self._rest = self._rest[:length], self._rest[length:]
        return taken

    def more(self) -> bool:
        """Whether anything is left."""
        return bool(self._rest) or bool(next(self._pieces, b""))
