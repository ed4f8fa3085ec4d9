"""Preprocessing that a target can not hold in its graph: a small closed set, each with published test vectors.

| operation | options | does |
|---|---|---|
| `decode` | `kind`: `image` | bytes of a JPEG, PNG, … to uint8 (H, W, 3) RGB |
| `resize` | `height`, `width`, `mode`: `linear`, `shrink`: `linear` | bilinear, half-pixel centres, no antialias, uint8, floor |
| `crop` | `height`, `width` | the middle; a frame that is smaller is refused |
| `colour` | `order`: `RGB`, `BGR` or `GREY` | from RGB; grey is that of ITU-R 601 |
| `window` | `length`, `hop`, `pad`: `none`, `end`, `function`: `none`, `hann` | a waveform float32 (T,) to windows float32 (N, length) |
| `tokenize` | `kind`, `vocabulary` or `model`, `length`, `unknown`, `pad`, `lower`, `dtype` | one text to ids (length,); see `tokens` |

The vectors are in `tests/golden/host_steps.json`. A runtime refuses an operation or option that it
does not know; it never guesses.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from contract.manifest import HostStep
from edge_agent.engine.decoding import decode_image
from edge_agent.engine.errors import InputError, StepRefusedError
from edge_agent.engine.tokens import LENGTH_MAX, build_tokenizer, is_vocabulary
from edge_agent.engine.waveforms import frame_waveform

Step = Callable[[np.ndarray], np.ndarray]
Options = Mapping[str, Any]

_MAX_SIDE = 16384
_MAX_COUNT = 1 << 26
_CHANNELS = 3
_WEIGHT_BITS = 10


def build_steps(pipeline: Sequence[HostStep]) -> tuple[Step, ...]:
    """The functions of a pipeline, in order.

    Raises:
        StepRefusedError: an operation or an option is unknown, or not supported by this version.
    """
    return tuple(_build(step) for step in pipeline)


def _build(step: HostStep) -> Step:
    if step.operation not in HOST_STEPS:
        raise StepRefusedError(
            f"the host step {step.operation[:40]!r} is unknown; this agent knows {', '.join(HOST_STEPS)}. Nothing is guessed"
        )
    return HOST_STEPS[step.operation](step.options)


def _check_options(operation: str, options: Options, known: Mapping[str, Callable[[Any], bool]]) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise StepRefusedError(f"the host step {operation} has the unknown option {unknown[0][:40]!r}; known are {', '.join(known)}")
    for name, accepts in known.items():
        if name in options and not accepts(options[name]):
            raise StepRefusedError(f"the host step {operation} has {name}={options[name]!r:.60}, which this agent version does not support")


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_SIDE


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MAX_COUNT


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT


def _sides(operation: str, options: Options) -> tuple[int, int]:
    missing = [name for name in ("height", "width") if name not in options]
    if missing:
        raise StepRefusedError(f"the host step {operation} lacks {' and '.join(missing)}")
    return options["height"], options["width"]


def _check_frame(frame: np.ndarray) -> None:
    if frame.dtype != np.uint8 or frame.ndim != _CHANNELS or 0 in frame.shape:
        raise InputError(f"expected a frame uint8 (H, W, C), got {frame.dtype} {frame.shape}")


def _build_decode(options: Options) -> Step:
    _check_options("decode", options, {"kind": lambda value: value == "image"})
    return lambda data: decode_image(data.tobytes())


def _build_resize(options: Options) -> Step:
    known = {"height": _is_side, "width": _is_side, "mode": lambda v: v == "linear", "shrink": lambda v: v == "linear"}
    _check_options("resize", options, known)
    height, width = _sides("resize", options)
    return lambda frame: resize(frame, height, width)


def _build_crop(options: Options) -> Step:
    _check_options("crop", options, {"height": _is_side, "width": _is_side})
    height, width = _sides("crop", options)
    return lambda frame: crop(frame, height, width)


def _build_colour(options: Options) -> Step:
    _check_options("colour", options, {"order": lambda value: value in _COLOURS})
    return _COLOURS[options.get("order", "RGB")]


def _build_window(options: Options) -> Step:
    known = {
        "length": _is_count,
        "hop": _is_count,
        "pad": lambda value: value in {"none", "end"},
        "function": lambda value: value in {"none", "hann"},
    }
    _check_options("window", options, known)
    if "length" not in options:
        raise StepRefusedError("the host step window lacks length")
    length, pad_end = options["length"], options.get("pad", "none") == "end"
    hop = options.get("hop", length)
    weights = hann(length) if options.get("function", "none") == "hann" else None

    def window(samples: np.ndarray) -> np.ndarray:
        windows = frame_waveform(samples, length, hop, pad_end=pad_end)
        return windows if weights is None else windows * weights

    return window


def _build_tokenize(options: Options) -> Step:
    known = {
        "kind": lambda value: value in {"whitespace", "character", "sentencepiece"},
        "vocabulary": is_vocabulary,
        "model": lambda value: isinstance(value, str),
        "length": lambda value: _is_count(value) and value <= LENGTH_MAX,
        "unknown": _is_id,
        "pad": _is_id,
        "lower": lambda value: isinstance(value, bool),
        "dtype": lambda value: value in {"int64", "int32"},
    }
    _check_options("tokenize", options, known)
    return build_tokenizer(options)


def hann(length: int) -> np.ndarray:
    """The periodic Hann window, float32 (length,): 0.5 - 0.5 cos(2 pi n / length), computed in double precision."""
    weights: np.ndarray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)
    return weights


def crop(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle `height` x `width` of a frame (H, W, C); an odd rest leaves one line more below and right.

    Raises:
        InputError: the frame is smaller.
    """
    _check_frame(frame)
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    if top < 0 or left < 0:
        raise InputError(f"the frame has {frame.shape[0]} x {frame.shape[1]} pixels, at least {height} x {width} are needed")
    return np.ascontiguousarray(frame[top : top + height, left : left + width])


def resize(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """The canonical resize: uint8 (H, W, C) to uint8 (height, width, C).

    Bilinear with half-pixel centres, no antialias, in fixed point with weights of 10 bits, rounded
    down. These are the numbers of ONNX Runtime's `Resize` (`linear`, `half_pixel`) on uint8 NHWC:
    equal bit for bit to version 1.32, within one level to others.

    Raises:
        InputError: not such a frame.
    """
    _check_frame(frame)
    if frame.shape[:2] == (height, width):
        return frame
    table = _resize_table(frame.shape, (height, width))
    corners = frame.reshape(-1).take(table.indices).reshape(2 * height, -1)
    weighted = np.multiply(corners, table.across, dtype=np.int32)
    half = weighted.shape[1] // 2
    lines = weighted[:, :half]
    lines += weighted[:, half:]
    above, below = lines[:height], lines[height:]
    above *= table.above
    below *= table.below
    above += below
    above >>= 2 * _WEIGHT_BITS
    small: np.ndarray = above.astype(np.uint8)
    return small.reshape(height, width, frame.shape[2])


class _ResizeTable(NamedTuple):
    """Where the four neighbours of every output value lie, and their weights, which sum to 1024 per axis."""

    indices: np.ndarray  # int64 (2 * height * 2 * width * C): upper lines then lower, left columns then right
    across: np.ndarray  # int32 (2 * width * C)
    above: np.ndarray  # int32 (height, 1)
    below: np.ndarray  # int32 (height, 1)


@functools.lru_cache(maxsize=32)
def _resize_table(source: tuple[int, int, int], target: tuple[int, int]) -> _ResizeTable:
    channels = source[2]
    upper, lower, above, below = _neighbours(source[0], target[0])
    left, right, before, after = _neighbours(source[1], target[1])
    pixels = np.concatenate([upper, lower])[:, None] * source[1] + np.concatenate([left, right])
    indices = pixels[:, :, None] * channels + np.arange(channels)
    across = np.repeat(np.concatenate([before, after]), channels).astype(np.int32)
    return _ResizeTable(indices.reshape(-1), across, above[:, None], below[:, None])


def _neighbours(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis: index of the neighbour before and after, and their weights in 1/1024."""
    one = np.float32(1)
    scale = np.float32(target) / np.float32(source)
    position = (np.arange(target, dtype=np.float32) + one / 2) / scale - one / 2
    position = np.clip(position, np.float32(0), np.float32(source - 1))
    first = position.astype(np.int64)
    second = np.minimum(first + 1, source - 1)
    weight = ((position - first.astype(np.float32)) * np.float32(1 << _WEIGHT_BITS)).astype(np.int32)
    return first, second, (1 << _WEIGHT_BITS) - weight, weight


def _keep(frame: np.ndarray) -> np.ndarray:
    _check_frame(frame)
    return frame


def _to_bgr(frame: np.ndarray) -> np.ndarray:
    _check_frame(frame)
    return np.ascontiguousarray(frame[:, :, ::-1])


def _to_grey(frame: np.ndarray) -> np.ndarray:
    """Grey of ITU-R 601 in 16-bit fixed point, rounded: (H, W, 3) to (H, W, 1)."""
    _check_frame(frame)
    if frame.shape[2] != _CHANNELS:
        raise InputError(f"grey needs three channels, the frame has {frame.shape[2]}")
    grey: np.ndarray = frame.astype(np.int32) @ np.array([19595, 38470, 7471], np.int32) + 0x8000
    upper: np.ndarray = (grey >> 16).astype(np.uint8)
    return upper[:, :, None]


_COLOURS: Mapping[str, Step] = {"RGB": _keep, "BGR": _to_bgr, "GREY": _to_grey}

HOST_STEPS: Mapping[str, Callable[[Options], Step]] = {
    "decode": _build_decode,
    "resize": _build_resize,
    "crop": _build_crop,
    "colour": _build_colour,
    "window": _build_window,
    "tokenize": _build_tokenize,
}
