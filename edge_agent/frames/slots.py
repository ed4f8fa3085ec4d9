"""Slots of one size in memory that other processes map: written once by the capture process, read in place by the workers.

The memory is a memfd without a name, so nothing is left behind. It is allocated before it is used and
sealed against any change of its size, so that touching it can never end a process with SIGBUS.
"""

import fcntl
import mmap
import os
import weakref

POOL_MAX_BYTES = 1 << 30
"""Of all slots together: three pictures of 64 million pixels fit; what is larger is refused."""

_SHRINK = getattr(fcntl, "F_SEAL_SHRINK", 0)
_FIXED_SIZE = _SHRINK | getattr(fcntl, "F_SEAL_GROW", 0) | getattr(fcntl, "F_SEAL_SEAL", 0)
_MAP_AT_ONCE = getattr(mmap, "MAP_POPULATE", 0)


class SlotError(Exception):
    """Slots can not be had: no memory, or memory that is not what it should be."""


class SlotPool:
    """The writer's end: some slots are free, the others are being read or wait to be."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        """Allocate `slots` of at least `slot_bytes` each, whole pages.

        Raises:
            SlotError: too large, or there is no memory for them.
        """
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.slots = slots
        if not 0 < self.size_bytes <= POOL_MAX_BYTES:
            raise SlotError(f"{slots} slots of {slot_bytes} bytes are wanted, at most {POOL_MAX_BYTES // slots} each can be had")
        self.descriptor = _allocate(slots * self.slot_bytes)
        weakref.finalize(self, os.close, self.descriptor)  # those who have mapped the memory keep it
        self.memory = mmap.mmap(self.descriptor, self.size_bytes, flags=mmap.MAP_SHARED | _MAP_AT_ONCE)
        self._free = list(range(slots))

    @property
    def size_bytes(self) -> int:
        """Of all slots together."""
        return self.slots * self.slot_bytes

    def take(self) -> int | None:
        """A free slot, which is the caller's until it gives it back; None where there is none."""
        return self._free.pop() if self._free else None

    def give_back(self, slot: int) -> None:
        """Nobody reads the slot any more.

        Raises:
            ValueError: it is free already; two owners of one slot would tear a frame.
        """
        if slot in self._free or not 0 <= slot < self.slots:
            raise ValueError(f"slot {slot} of {self.slots} was given back, but is not taken")
        self._free.append(slot)


def _allocate(size_bytes: int) -> int:
    descriptor = os.memfd_create("eyelet-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.posix_fallocate(descriptor, 0, size_bytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _FIXED_SIZE)
    except OSError as error:
        os.close(descriptor)
        raise SlotError(f"no memory for slots of {size_bytes} bytes in all: {error}") from error
    return descriptor


def map_slots(descriptor: int, size_bytes: int) -> mmap.mmap:
    """The reader's end: the memory of all slots, not to be written; takes the descriptor over.

    Raises:
        SlotError: the memory is smaller than it is said to be, or might become so.
    """
    if descriptor < 0:
        raise SlotError("the slots' memory did not come along")
    try:
        if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SHRINK:
            raise SlotError("the slots' memory is not sealed: it could shrink while it is read")
        found = os.fstat(descriptor).st_size
        if not 0 < size_bytes <= found:
            raise SlotError(f"the slots' memory has {found} bytes, expected {size_bytes}")
        return mmap.mmap(descriptor, size_bytes, flags=mmap.MAP_SHARED | _MAP_AT_ONCE, prot=mmap.PROT_READ)
    except OSError as error:
        raise SlotError(f"the slots' memory can not be mapped: {error}") from error
    finally:
        os.close(descriptor)
