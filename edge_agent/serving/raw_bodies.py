"""Bodies that are the sample itself: image, sound, array, rows. One line in `RAW_KINDS` each.

What the model does not take is refused in words; nothing is converted to make it fit.
"""

import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from edge_agent.engine.decoding import count_pixels, decode_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import decode_wav, rate_of, takes_sound
from edge_agent.serving.array_bodies import MAGIC, decode_npy
from edge_agent.serving.http_messages import HttpError
from edge_agent.serving.row_bodies import decode_csv, decode_row

Samples = Iterable[dict[str, np.ndarray]]
_OCTETS = "application/octet-stream"
_HWC = 3
SMALL_IMAGE_BYTES, LARGE_IMAGE_PIXELS = 16 * 1024, 2_000_000


class RawKind(NamedTuple):
    """A kind of body: its content types, in words, which models take it, and how it becomes samples.

    `many`: the answer is a list, one for each sample. `in_infer`: taken at `/infer`, too, where JSON means the protocol.
    """

    content_types: tuple[str, ...]
    words: str
    fits: Callable[[ModelSpec], bool]
    decode: Callable[[bytes, ModelSpec], Samples]
    many: bool = False
    in_infer: bool = True


def takes_image(spec: ModelSpec) -> bool:
    """Whether the model takes one picture, uint8 (H, W, 3)."""
    return len(spec.inputs) == 1 and spec.inputs[0].dtype == "uint8" and len(spec.inputs[0].shape) == _HWC


def takes_rows(spec: ModelSpec) -> bool:
    """Whether every input of the model is a column, of shape (1,)."""
    return not takes_sound(spec) and all(tensor.shape == (1,) for tensor in spec.inputs)


def takes_array(spec: ModelSpec) -> bool:
    """Whether the model has one input, of numbers."""
    return len(spec.inputs) == 1 and spec.inputs[0].dtype != "string"


def _image(body: bytes, spec: ModelSpec) -> Samples:
    return [{spec.inputs[0].name: decode_image(body)}]


def _array(body: bytes, spec: ModelSpec) -> Samples:
    return [{spec.inputs[0].name: decode_npy(body)}]


def _sound(body: bytes, spec: ModelSpec) -> Samples:
    sound = decode_wav(body)
    wanted = rate_of(spec.inputs[0])
    if wanted is not None and sound.rate_hz != wanted:
        raise InputError(f"the sound has {sound.rate_hz} samples per second, the model takes {wanted}; record or convert it at that rate")
    return [{spec.inputs[0].name: sound.samples}]


RAW_KINDS = (
    RawKind(("image/*",), "an image (Content-Type: image/jpeg, image/png, …)", takes_image, _image),
    RawKind(("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"), "a sound (audio/wav)", takes_sound, _sound),
    RawKind(("application/json",), "one row (Content-Type: application/json)", takes_rows, lambda b, s: [decode_row(b, s)], in_infer=False),
    RawKind(("text/csv",), "rows (text/csv)", takes_rows, decode_csv, many=True),
    RawKind(("application/x-npy", "application/npy"), "an array (application/x-npy)", takes_array, _array),
)
_BY_TYPE = {content_type: kind for kind in RAW_KINDS for content_type in kind.content_types}
_IMAGE, _SOUND, _ARRAY = _BY_TYPE["image/*"], _BY_TYPE["audio/wav"], _BY_TYPE["application/x-npy"]


@functools.lru_cache(maxsize=64)
def find_raw_kind(header: str) -> RawKind | None:
    """The kind for a `Content-Type`; None where it is none of these."""
    content_type = header.partition(";")[0].strip().lower()
    return _IMAGE if content_type.startswith("image/") else _BY_TYPE.get(content_type)


def decode_raw(header: str, body: bytes, spec: ModelSpec) -> tuple[Samples, bool]:
    """The samples in a body, and whether the answer is a list.

    Raises:
        HttpError: 415 where the model does not take such a body, 400 where the body is broken.
    """
    kind = _find_kind(header, body)
    if kind is None or not kind.fits(spec):
        takes = " or ".join(kind.words for kind in RAW_KINDS if kind.fits(spec)) or "tensors at /v2/models/…/infer only"
        raise HttpError(415, f"this model takes {takes} here, got {header[:60]!r}")
    try:
        return kind.decode(body, spec), kind.many
    except InputError as error:
        raise HttpError(400, str(error)) from error


def takes_long(header: str, body: bytes) -> bool:
    """Whether decoding the body takes so long that others should not wait for it: a picture of millions of pixels."""
    return _find_kind(header, body) is _IMAGE and len(body) > SMALL_IMAGE_BYTES and count_pixels(body) > LARGE_IMAGE_PIXELS


def _find_kind(header: str, body: bytes) -> RawKind | None:
    """Bytes without a type say themselves what they are."""
    if header.partition(";")[0].strip().lower() != _OCTETS:
        return find_raw_kind(header)
    if body.startswith(MAGIC):
        return _ARRAY
    return _SOUND if body.startswith(b"RIFF") and body[8:12] == b"WAVE" else _IMAGE
