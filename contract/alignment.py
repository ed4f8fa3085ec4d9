"""Which bytes of a base stand where those of a target stand: two versions of a model have the same layout, moved by a few bytes.

Between weights that all moved a little nothing matches exactly for long, so places are judged by
the size of the differences. What has another layout altogether is left without a base.
"""

from typing import NamedTuple

from contract.bytewise import subtract_bytes

NO_BASE = 0xFFFFFFFF
_BLOCK_BYTES = 4096
_REACH_BYTES = 8 * 1024
_ANCHOR_BYTES = 4
_ANCHORS = 64
_DISTANCE = bytes(min(value, 256 - value) for value in range(256))
_NEAR = 8 * _BLOCK_BYTES
"""A mean distance of 8: surely the right place; two unrelated blocks are 64 apart."""
_FAR = 60 * _BLOCK_BYTES


class Segment(NamedTuple):
    """The next `length` bytes of the target, and where in the base their like begin (`NO_BASE`: nowhere)."""

    length: int
    place: int


def align(base: bytes, target: bytes, segments_max: int) -> list[Segment]:
    """Segments that cover the target in order; at most `segments_max`."""
    segments: list[Segment] = []
    shift = 0
    for start in range(0, len(target), _BLOCK_BYTES):
        block = target[start : start + _BLOCK_BYTES]
        shift, cost = _best_shift(base, block, start, (shift, 0, len(base) - len(target)))
        far = cost * _BLOCK_BYTES > _FAR * len(block)
        _extend(segments, Segment(len(block), NO_BASE if far else start + shift))
    if len(segments) > segments_max:
        return [Segment(len(target), NO_BASE)]
    return segments


def _extend(segments: list[Segment], new: Segment) -> None:
    last = segments[-1] if segments else None
    if last is not None and (new.place == last.place == NO_BASE or (last.place != NO_BASE and new.place == last.place + last.length)):
        segments[-1] = Segment(last.length + new.length, last.place)
    else:
        segments.append(new)


def _best_shift(base: bytes, block: bytes, start: int, likely: tuple[int, ...]) -> tuple[int, int]:
    """The place with the smallest differences, near those that are likely, with their sum."""
    best, least = likely[0], _cost(base, block, start + likely[0])
    if least * _BLOCK_BYTES <= _NEAR * len(block):
        return best, least
    for shift in dict.fromkeys([*likely[1:], *_anchored_shifts(base, block, start, likely[0])]):
        cost = _cost(base, block, start + shift)
        if cost < least:
            best, least = shift, cost
    return best, least


def _cost(base: bytes, block: bytes, place: int) -> int:
    """The sum of all distances; of a block that reaches beyond the base more than any sum."""
    if place < 0 or place + len(block) > len(base):
        return 256 * len(block)
    return sum(subtract_bytes(block, base[place : place + len(block)]).translate(_DISTANCE))


def _anchored_shifts(base: bytes, block: bytes, start: int, shift: int) -> list[int]:
    """Shifts under which some bytes of the block stand in the base exactly."""
    low, high = max(0, start + shift - _REACH_BYTES), start + shift + len(block) + _REACH_BYTES
    found = []
    for offset in range(0, max(1, len(block) - _ANCHOR_BYTES), max(1, len(block) // _ANCHORS)):
        anchor = block[offset : offset + _ANCHOR_BYTES]
        place = base.find(anchor, low, high) if len(set(anchor)) > 2 else -1  # noqa: PLR2004  (zeros stand everywhere)
        if place >= 0:
            found.append(place - start - offset)
    return found
