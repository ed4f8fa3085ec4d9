"""The worker's end, with a giver in the same process or with a capture process that lies."""

import asyncio
import os
import socket
from collections.abc import Callable

import numpy as np
import pytest

from edge_agent.frames.doorbell import Doorbell, make_pair, open_doorbell
from edge_agent.frames.frame_source import FrameSource
from edge_agent.frames.giving import FrameGiver
from edge_agent.frames.messages import Frame, Hello, Pool, Tensor, encode_ring
from edge_agent.frames.slots import SlotPool
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice, SourceSample


def linked(*, plain: bool, giver: FrameGiver) -> FrameSource:
    ours, theirs = make_pair(plain=plain)
    giver.join(lambda on_message, on_end: open_doorbell(ours, on_message, on_end))
    return FrameSource(theirs.detach())


@pytest.mark.parametrize("plain", [False, True])
def test_samples_losses_and_trouble_come_through_in_their_order(*, plain: bool) -> None:
    async def story() -> list[Item]:
        giver = FrameGiver(0, plain=plain)
        source = linked(plain=plain, giver=giver)
        found: list[Item] = []
        giver.drop(SourceDropped("bad.png", "no image", 2))
        giver.notice(SourceNotice("the camera is back"))
        giver.offer("s:1", {"x": np.arange(6, dtype=np.float32).reshape(2, 3), "y": np.array([True, False])})
        async for item in source.items():
            found.append(item)
            if isinstance(item, SourceSample):
                x, y = item.sample["x"], item.sample["y"]
                np.testing.assert_array_equal(x, np.arange(6).reshape(2, 3))
                assert (x.dtype, y.dtype, y.tolist()) == (np.float32, np.bool_, [True, False])
                assert plain or not x.flags.owndata
                if item.name == "s:1":
                    giver.offer("s:2", item.sample)
                else:
                    giver.end(None)
        return found

    found = asyncio.run(asyncio.wait_for(story(), 10))
    assert found[:2] == [SourceDropped("bad.png", "no image", 2), SourceNotice("the camera is back")]
    assert [item.name for item in found[2:]] == ["s:1", "s:2"]  # type: ignore[union-attr]


def test_a_sample_in_a_slot_stays_as_it_is_until_the_next_is_asked_for() -> None:
    async def story() -> None:
        giver = FrameGiver(1, plain=False)
        source = linked(plain=False, giver=giver)
        items = source.items()
        giver.offer("s:0", {"x": np.zeros(8, np.uint8)})
        item = await anext(items)
        assert isinstance(item, SourceSample)
        for number in range(1, 20):  # far more than there are slots
            giver.offer(f"s:{number}", {"x": np.full(8, number, np.uint8)})
        assert set(item.sample["x"]) == {0}
        with pytest.raises(ValueError, match="read-only"):
            item.sample["x"][0] = 1
        await items.aclose()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_failure_for_good_is_raised_and_leaving_ends_quietly() -> None:
    async def fails() -> None:
        giver = FrameGiver(0, plain=False)
        giver.end(SourceError("no such folder"))
        with pytest.raises(SourceError, match="no such folder"):
            async for _ in linked(plain=False, giver=giver).items():
                pass

    async def leaves() -> list[str]:
        giver = FrameGiver(1, plain=False)
        source, names = linked(plain=False, giver=giver), []
        giver.offer("s:1", {"x": np.zeros(8, np.uint8)})
        async for item in source.items():
            names.append(item.name)  # type: ignore[union-attr]
            source.leave()
            giver.offer("s:2", {"x": np.zeros(8, np.uint8)})
        return names

    asyncio.run(asyncio.wait_for(fails(), 10))
    assert asyncio.run(asyncio.wait_for(leaves(), 10)) == ["s:1"]


def a_frame(tensor: Tensor) -> Callable[[Doorbell], None]:
    def lie(bell: Doorbell) -> None:
        pool = SlotPool(1, 4096)
        bell.ring(encode_ring(Pool(4096)), descriptor=pool.descriptor)
        bell.ring(encode_ring(Frame(1, 1, "s", (tensor,), 0)))

    return lie


def loose_memory(bell: Doorbell) -> None:
    loose = os.memfd_create("loose")
    os.ftruncate(loose, 4096)
    bell.ring(encode_ring(Pool(4096)), descriptor=loose)
    os.close(loose)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (a_frame(Tensor("x", "uint8", (4096,), 1)), "lies nowhere"),
        (a_frame(Tensor("x", "uint8", (10**12,), 0)), "lies nowhere"),
        (a_frame(Tensor("x", "uint8", (2**40, 2**40), 0)), "lies nowhere"),
        (a_frame(Tensor("x", "uint8", (-1,), 0)), "lies nowhere"),
        (a_frame(Tensor("x", "uint8", (1,), -8)), "lies nowhere"),
        (a_frame(Tensor("x", "object", (1,), 0)), "lies nowhere"),
        (lambda bell: bell.ring(encode_ring(Frame(1, 1, "s", (Tensor("x", "uint8", (1,), 0),), 0))), "lies nowhere"),
        (loose_memory, "not sealed"),
        (lambda bell: bell.ring(encode_ring(Pool(4096))), "did not come along"),
        (lambda bell: bell.ring(b"\x93nonsense"), "speaks nonsense"),
        (lambda bell: bell.ring(encode_ring(Hello(-1))[:-1]), "speaks nonsense"),
    ],
)
def test_a_capture_process_that_lies_fails_the_source_and_not_the_worker(lie: Callable[[Doorbell], None], words: str) -> None:
    async def story() -> None:
        ours, theirs = make_pair(plain=False)
        bell = open_doorbell(ours, lambda _: None, lambda: None)
        lie(bell)
        with pytest.raises(SourceError, match=words):
            async for _ in FrameSource(theirs.detach()).items():
                pass
        bell.close()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 10))


def test_the_end_of_the_connection_ends_the_items() -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        assert [item async for item in FrameSource(theirs.detach()).items()] == []

    asyncio.run(asyncio.wait_for(story(), 10))
