"""Where the capture process keeps samples until a worker has answered them: in slots, or as they are where there are no slots."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from edge_agent.frames.messages import Tensor
from edge_agent.frames.slots import POOL_MAX_BYTES, SlotError, SlotPool

DTYPES = frozenset({"uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bool"})
ALIGNMENT = 64
GROWTH = 1.5
"""A sample that does not fit gets slots of so many times the size before, so that pools are few."""

Sample = Mapping[str, np.ndarray]


class ShelfError(Exception):
    """A sample can not be kept: too large, or of a type that can not be handed over."""


class Room(Protocol):
    """Whatever has a bounded number of places."""

    def give_back(self, slot: int) -> None:
        """The place is free again."""


class Stored(NamedTuple):
    """A sample in its place. `payload` goes over the doorbell where there are no slots."""

    tensors: tuple[Tensor, ...]
    room: Room
    slot: int
    payload: tuple[memoryview, ...] = ()

    def free(self) -> None:
        """Nobody needs it any more."""
        self.room.give_back(self.slot)


class Shelf(Protocol):
    """Keeps samples."""

    def store(self, sample: Sample) -> Stored | None:
        """Keep a copy, or None where all places are taken; raises ShelfError."""


class SlotShelf:
    """`slots` samples in shared memory, sized from the first one; a larger one gets another pool."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._pool: SlotPool | None = None
        self._flat: list[np.ndarray] = []  # the bytes of each slot

    def store(self, sample: Sample) -> Stored | None:
        """See `Shelf`."""
        tensors, size_bytes = _lay_out(sample, ALIGNMENT)
        pool = self._pool_for(size_bytes)
        slot = pool.take()
        if slot is None:
            return None
        flat, begin = self._flat[slot], slot * pool.slot_bytes
        for tensor, array in zip(tensors, sample.values(), strict=True):
            np.copyto(flat[tensor.offset : tensor.offset + array.nbytes].view(array.dtype).reshape(array.shape), array)
        placed = tuple(Tensor(one.name, one.dtype, one.shape, begin + one.offset) for one in tensors)
        return Stored(placed, pool, slot)

    def _pool_for(self, size_bytes: int) -> SlotPool:
        pool = self._pool
        if pool is not None and size_bytes <= pool.slot_bytes:
            return pool
        grown = 0 if pool is None else min(round(GROWTH * pool.slot_bytes), POOL_MAX_BYTES // self._slots)
        try:
            pool = SlotPool(self._slots, max(size_bytes, grown))
        except SlotError as error:
            raise ShelfError(str(error)) from error
        length = pool.slot_bytes
        self._flat = [np.frombuffer(pool.memory, np.uint8, length, slot * length) for slot in range(self._slots)]
        self._pool = pool
        return pool


class PlainShelf:
    """`slots` samples as they are."""

    def __init__(self, slots: int) -> None:
        self._free = slots

    def store(self, sample: Sample) -> Stored | None:
        """See `Shelf`."""
        tensors, _ = _lay_out(sample, alignment=1)
        if not self._free:
            return None
        self._free -= 1
        return Stored(tensors, self, 0, tuple(np.ascontiguousarray(array).data.cast("B") for array in sample.values()))

    def give_back(self, _slot: int) -> None:
        """See `Room`."""
        self._free += 1


def _lay_out(sample: Sample, alignment: int) -> tuple[tuple[Tensor, ...], int]:
    tensors, end = [], 0
    for name, array in sample.items():
        if array.dtype.name not in DTYPES:
            raise ShelfError(f"{name} is of type {array.dtype.name}, which is not handed from process to process")
        begin = -(-end // alignment) * alignment
        tensors.append(Tensor(name, array.dtype.name, array.shape, begin))
        end = begin + array.nbytes
    if not 0 < end <= POOL_MAX_BYTES:
        raise ShelfError(f"a sample of {end} bytes; at least 1 and at most {POOL_MAX_BYTES} are handed over")
    return tuple(tensors), end
