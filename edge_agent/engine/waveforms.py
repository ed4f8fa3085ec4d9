"""Sound as the models take it: WAV bytes to float32 in [-1, 1], and a long waveform cut into windows.

A model of sound has one float32 input of one axis; its `units` say the rate, as in `16000 Hz`. Another
rate is refused: resampling is the recorder's business, nothing is converted silently. Several channels
are averaged.
"""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from contract.manifest import TensorSpec
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec

MAX_CHANNELS = 64
MAX_RATE_HZ = 1_000_000
MAX_WINDOWS = 1_000_000

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FORMAT_LEAST = 16
_FORMAT_EXTENSIBLE = 26
_RATE = re.compile(r"^\s*(\d{1,7})\s*Hz\s*$")


class Waveform(NamedTuple):
    """Samples float32 (T,) in [-1, 1] and their rate."""

    samples: np.ndarray
    rate_hz: int


class _Format(NamedTuple):
    code: int
    channels: int
    rate_hz: int
    bits: int


def takes_sound(spec: ModelSpec) -> bool:
    """Whether the model takes one waveform: one float32 input of one axis that is longer than 1 or says its rate."""
    if len(spec.inputs) != 1:
        return False
    tensor = spec.inputs[0]
    return tensor.dtype == "float32" and len(tensor.shape) == 1 and (tensor.shape != (1,) or rate_of(tensor) is not None)


def rate_of(tensor: TensorSpec) -> int | None:
    """Samples per second that an input asks for in its `units`; None where it says none."""
    found = _RATE.match(tensor.units)
    return int(found[1]) if found else None


def decode_wav(body: bytes) -> Waveform:
    """Decode a WAV file: PCM of 8, 16, 24 or 32 bits, or float of 32 or 64.

    PCM is divided by its largest magnitude (32768 at 16 bits); float is clipped to [-1, 1]. A length
    field of 0 or 0xFFFFFFFF (a recorder that was piped or killed) means all the rest.

    Raises:
        InputError: no WAV file, broken, empty, or of another coding.
    """
    if len(body) < 12 or body[:4] != b"RIFF" or body[8:12] != b"WAVE":  # noqa: PLR2004  (the header of the format)
        raise InputError(f"the bytes are no WAV file; they begin with {body[:12]!r}")
    form: _Format | None = None
    for name, begin, end in _chunks(body):
        if name == b"fmt ":
            form = _read_format(body[begin:end])
        elif name == b"data":
            if form is None:
                raise InputError("the WAV file has its sound before its format")
            return Waveform(_samples(memoryview(body)[begin:end], form), form.rate_hz)
    raise InputError("the WAV file holds no sound")


def _chunks(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    position = 12
    while position + 8 <= len(body):
        name, length = struct.unpack_from("<4sI", body, position)
        begin = position + 8
        if name == b"data" and length in {0, 0xFFFFFFFF}:
            length = len(body) - begin
        yield name, begin, min(begin + length, len(body))
        position = begin + length + (length & 1)


def _read_format(chunk: bytes) -> _Format:
    if len(chunk) < _FORMAT_LEAST:
        raise InputError("the format of the WAV file is cut short")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= _FORMAT_EXTENSIBLE:
        code = struct.unpack_from("<H", chunk, 24)[0]
    known = {_PCM: (8, 16, 24, 32), _FLOAT: (32, 64)}
    if bits not in known.get(code, ()):
        raise InputError(f"the WAV file is coded as format {code} with {bits} bits; known are PCM of 8 to 32 bits and float of 32 or 64")
    if not (1 <= channels <= MAX_CHANNELS and 1 <= rate <= MAX_RATE_HZ):
        raise InputError(f"the WAV file has {channels} channels at {rate} Hz; at most {MAX_CHANNELS} at {MAX_RATE_HZ} Hz are accepted")
    return _Format(code, channels, rate, bits)


def _samples(data: memoryview, form: _Format) -> np.ndarray:
    frame_bytes = form.channels * form.bits // 8
    count = len(data) // frame_bytes
    if not count:
        raise InputError("the WAV file holds no sound")
    flat = decode_pcm(data[: count * frame_bytes], form.bits, is_float=form.code == _FLOAT)
    if form.channels == 1:
        return flat
    mixed: np.ndarray = flat.reshape(count, form.channels).mean(axis=1, dtype=np.float32)
    return mixed


def decode_pcm(data: "memoryview | bytes", bits: int, *, is_float: bool = False) -> np.ndarray:
    """Little-endian samples, whole ones only, to float32 in [-1, 1]; what is no number becomes 0."""
    if is_float:
        values = np.frombuffer(data, "<f4" if bits == 32 else "<f8")  # noqa: PLR2004  (bits)
        clipped: np.ndarray = np.clip(np.nan_to_num(values), -1, 1).astype(np.float32)
        return clipped
    if bits == 8:  # noqa: PLR2004  (bits; these have no sign)
        return (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
    if bits == 24:  # noqa: PLR2004  (bits)
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        whole = wide.view("<i4")[:, 0]
        bits = 32
    else:
        whole = np.frombuffer(data, f"<i{bits // 8}")
    scaled: np.ndarray = (whole / np.float64(1 << (bits - 1))).astype(np.float32)
    return scaled


def frame_waveform(samples: np.ndarray, length: int, hop: int, *, pad_end: bool) -> np.ndarray:
    """Windows float32 (N, length) of a waveform float32 (T,), each `hop` after the one before.

    With `pad_end` a last window that begins at a multiple of `hop` and holds samples that no window
    before it held is filled up with zeros, so that no sample is left out (where `hop` is at most
    `length`); without it only whole windows are given.

    Raises:
        InputError: not such a waveform, empty, too short for one whole window, or too many windows.
    """
    if samples.dtype != np.float32 or samples.ndim != 1 or not samples.size:
        raise InputError(f"expected a waveform float32 (T,), got {samples.dtype} {samples.shape}")
    total = samples.size
    count = count_windows(total, length, hop, pad_end=pad_end)
    if not count:
        raise InputError(f"the waveform has {total} samples, one window needs {length}")
    if count > MAX_WINDOWS:
        raise InputError(f"the waveform gives {count} windows, at most {MAX_WINDOWS} are accepted")
    needed = (count - 1) * hop + length
    if needed > total:
        samples = np.concatenate([samples, np.zeros(needed - total, np.float32)])
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)[::hop][:count]
    return np.ascontiguousarray(windows)


def count_windows(total: int, length: int, hop: int, *, pad_end: bool) -> int:
    """How many windows `frame_waveform` gives."""
    whole = 0 if total < length else (total - length) // hop + 1
    covered = (whole - 1) * hop + length if whole else 0
    return whole + 1 if pad_end and covered < total and whole * hop < total else whole
