import fcntl
import os

import numpy as np
import pytest

from edge_agent.frames import slots
from edge_agent.frames.shelf import PlainShelf, ShelfError, SlotShelf
from edge_agent.frames.slots import SlotError, SlotPool, map_slots

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no memory without a name")


def test_slots_are_allocated_before_use_and_can_never_shrink() -> None:
    pool = SlotPool(3, 5000)
    assert os.fstat(pool.descriptor).st_blocks * 512 >= pool.size_bytes >= 15000
    with pytest.raises(PermissionError):
        os.ftruncate(pool.descriptor, 0)
    with pytest.raises(PermissionError):
        os.ftruncate(pool.descriptor, 2 * pool.size_bytes)
    reader = map_slots(os.dup(pool.descriptor), pool.size_bytes)
    pool.memory[4096:4101] = b"frame"
    assert reader[4096:4101] == b"frame"
    with pytest.raises(TypeError):
        reader[0:1] = b"x"


def test_memory_that_could_shrink_or_is_too_small_is_not_mapped() -> None:
    loose = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(loose, 8192)
    with pytest.raises(SlotError, match="not sealed"):
        map_slots(os.dup(loose), 4096)
    fcntl.fcntl(loose, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    with pytest.raises(SlotError, match="has 8192 bytes, expected 8193"):
        map_slots(os.dup(loose), 8193)
    with pytest.raises(SlotError, match="expected 0"):
        map_slots(loose, 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(loose)  # map_slots took it over


def test_a_slot_has_one_owner() -> None:
    pool = SlotPool(2, 10)
    first, second = pool.take(), pool.take()
    assert {first, second} == {0, 1}
    assert pool.take() is None
    pool.give_back(1)
    with pytest.raises(ValueError, match="not taken"):
        pool.give_back(1)
    with pytest.raises(ValueError, match="not taken"):
        pool.give_back(7)


def test_the_descriptor_is_closed_with_its_pool() -> None:
    pool = SlotPool(1, 10)
    descriptor = pool.descriptor
    del pool
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_there_is_no_memory_for_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SlotError, match="at most 536870912 each"):
        SlotPool(2, 1 << 30)

    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slots.os, "posix_fallocate", full)
    with pytest.raises(ShelfError, match=r"no memory for slots of 8192 bytes in all: .*No space left"):
        SlotShelf(2).store({"x": np.zeros(4, np.uint8)})


def test_a_larger_sample_gets_larger_slots_and_what_was_stored_before_stays() -> None:
    shelf = SlotShelf(2)
    small = shelf.store({"x": np.full((2, 3), 7, np.uint8), "y": np.array([1.5, 2.5], np.float32)})
    large = shelf.store({"x": np.full(9000, 9, np.uint8)})
    assert small is not None
    assert large is not None
    assert isinstance(small.room, SlotPool)
    assert isinstance(large.room, SlotPool)
    assert (small.room.slot_bytes, large.room.slot_bytes) == (4096, 12288)
    x, y = small.tensors
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((2, 3), "uint8", (2,), "float32")
    np.testing.assert_array_equal(np.frombuffer(small.room.memory, np.uint8, 6, x.offset), 7)
    np.testing.assert_array_equal(np.frombuffer(small.room.memory, np.float32, 2, y.offset), [1.5, 2.5])
    assert y.offset % 64 == 0


@pytest.mark.parametrize("shelf", [SlotShelf(2), PlainShelf(2)])
def test_a_full_shelf_takes_no_more_until_one_is_freed(shelf: SlotShelf | PlainShelf) -> None:
    sample = {"x": np.zeros(4, np.uint8)}
    first = shelf.store(sample)
    assert first is not None
    assert shelf.store(sample) is not None
    assert shelf.store(sample) is None
    first.free()
    assert shelf.store(sample) is not None


@pytest.mark.parametrize("sample", [{"x": np.array(["a"], object)}, {"x": np.array(["a"])}, {}, {"x": np.zeros(0, np.uint8)}])
def test_what_is_no_array_of_numbers_is_refused(sample: dict) -> None:
    with pytest.raises(ShelfError, match=r"is of type|a sample of 0 bytes"):
        SlotShelf(2).store(sample)
