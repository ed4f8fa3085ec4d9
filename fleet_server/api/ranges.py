"""The Range header, one range at most (RFC 9110 §14)."""

import re

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class UnsatisfiableRangeError(Exception):
    """The range lies outside the file: answer 416."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte (inclusive) that `header` asks for; None means the whole file (also for what is not understood).

    Raises:
        UnsatisfiableRangeError: nothing of the file lies in the range.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        return _suffix(int(match[2]), size)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise UnsatisfiableRangeError
    return first, last


def _suffix(length: int, size: int) -> tuple[int, int]:
    if length == 0 or size == 0:
        raise UnsatisfiableRangeError
    return max(0, size - length), size - 1
