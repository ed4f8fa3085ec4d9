"""Sums and differences of byte strings, byte by byte modulo 256, with whole numbers as wide as the strings: fast without numpy.

The highest bit of each byte is kept out of the carry and put in afterwards (H. S. Warren, *Hacker's
Delight*, section 2-18).
"""

import functools


def add_bytes(first: bytes, second: bytes) -> bytes:
    """`(a + b) mod 256` for each pair; both have the same length.

    Raises:
        ValueError: they do not.
    """
    size = _same_length(first, second)
    high = _high_bits(size)
    one, other = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    return (((one & ~high) + (other & ~high)) ^ ((one ^ other) & high)).to_bytes(size, "little")


def subtract_bytes(first: bytes, second: bytes) -> bytes:
    """`(a - b) mod 256` for each pair; both have the same length.

    Raises:
        ValueError: they do not.
    """
    size = _same_length(first, second)
    high = _high_bits(size)
    one, other = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    return (((one | high) - (other & ~high)) ^ ((one ^ ~other) & high)).to_bytes(size, "little")


def _same_length(first: bytes, second: bytes) -> int:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} bytes against {len(second)}")
    return len(first)


@functools.lru_cache(maxsize=8)
def _high_bits(size: int) -> int:
    return int.from_bytes(b"\x80" * size, "little")
