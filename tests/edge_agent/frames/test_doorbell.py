import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable

import pytest

from edge_agent.frames.doorbell import Arrived, Doorbell, make_pair, open_doorbell
from edge_agent.frames.messages import MESSAGE_MAX_BYTES


class Listener:
    """What one end of a doorbell hears."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.ended = 0

    def end(self) -> None:
        self.ended += 1

    async def until(self, condition: Callable[["Listener"], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition(self):
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.001)


def talk(story: Callable[[Doorbell, Listener, socket.socket], Awaitable[None]], *, plain: bool) -> None:
    """A story with a doorbell, the other end's listener, and that end as it is."""

    async def run() -> None:
        ours, theirs = make_pair(plain=plain)
        listener = Listener()
        bell = open_doorbell(ours, lambda _: None, lambda: None)
        other = open_doorbell(theirs, listener.arrived.append, listener.end)
        try:
            await story(bell, listener, theirs)
        finally:
            bell.close()
            other.close()
            await asyncio.sleep(0)

    asyncio.run(run())


@pytest.mark.parametrize("plain", [False, True])
def test_messages_arrive_whole_and_in_order_and_so_does_the_end(*, plain: bool) -> None:
    async def story(bell: Doorbell, listener: Listener, _: socket.socket) -> None:
        for number in range(100):
            assert bell.ring(b"%d" % number * (number % 7 + 1))
        await listener.until(lambda heard: len(heard.arrived) == 100)
        assert [one.message for one in listener.arrived] == [b"%d" % number * (number % 7 + 1) for number in range(100)]
        bell.close()
        await listener.until(lambda heard: heard.ended == 1)
        assert not bell.ring(b"too late")

    talk(story, plain=plain)


def test_a_large_payload_follows_its_message_over_a_stream() -> None:
    async def story(bell: Doorbell, listener: Listener, _: socket.socket) -> None:
        large = os.urandom(5_000_000)
        bell.ring(b"before", (memoryview(b"ab"), memoryview(b"cd")))
        bell.ring(b"frame", (memoryview(large),))
        bell.ring(b"after")
        await listener.until(lambda heard: len(heard.arrived) == 3)
        assert [(one.message, bytes(one.payload)) for one in listener.arrived] == [(b"before", b"abcd"), (b"frame", large), (b"after", b"")]

    talk(story, plain=True)


def test_a_descriptor_comes_along_and_is_not_inherited_further() -> None:
    async def story(bell: Doorbell, listener: Listener, _: socket.socket) -> None:
        memory = os.memfd_create("x")
        os.write(memory, b"seen")
        bell.ring(b"pool", descriptor=memory)
        bell.ring(b"next")
        os.close(memory)
        await listener.until(lambda heard: len(heard.arrived) == 2)
        found = listener.arrived[0].descriptor
        assert os.pread(found, 10, 0) == b"seen"
        assert not os.get_inheritable(found)
        os.close(found)
        assert listener.arrived[1].descriptor == -1

    talk(story, plain=False)


def test_what_is_no_message_ends_the_connection() -> None:
    async def lying_length(bell: Doorbell, listener: Listener, _: socket.socket) -> None:
        bell._end.send(b"\xff" * 12)
        await listener.until(lambda heard: heard.ended == 1)

    async def truncated(bell: Doorbell, listener: Listener, _: socket.socket) -> None:
        bell._end.send(b"x" * (MESSAGE_MAX_BYTES + 1))
        await listener.until(lambda heard: heard.ended == 1)
        assert not listener.arrived

    talk(lying_length, plain=True)
    talk(truncated, plain=False)


def test_one_that_does_not_read_is_given_up_rather_than_waited_for() -> None:
    async def run() -> None:
        ours, theirs = make_pair(plain=False)
        ended: list[bool] = []
        bell = open_doorbell(ours, lambda _: None, lambda: ended.append(True))
        while bell.ring(b"x" * 8000):
            pass
        await asyncio.sleep(0)
        assert ended == [True]
        theirs.close()

    asyncio.run(run())


def test_more_than_a_message_holds_is_a_mistake_of_ours() -> None:
    async def story(bell: Doorbell, _: Listener, __: socket.socket) -> None:
        with pytest.raises(ValueError, match="at most 16384 are sent"):
            bell.ring(b"x" * (MESSAGE_MAX_BYTES + 1))
        with pytest.raises(ValueError, match="through slots"):
            bell.ring(b"x", (memoryview(b"payload"),))

    talk(story, plain=False)
