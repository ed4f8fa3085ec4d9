"""A client that sends the same head again and again: its bodies are read in place, and are each its own."""

import asyncio
import gc
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.serving import traffic as bounds
from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import Head, Response
from edge_agent.serving.receive_buffer import BUFFER_BYTES, ReceiveBuffer
from edge_agent.serving.traffic import Traffic
from tests.edge_agent.serving.wires import Wire

LIMIT = 20 << 20


def request(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /predict HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(body), body)


def checksum(_head: Head, body: Body) -> Response:
    return Response(200, b"%d" % zlib.crc32(body), "text/plain")


async def slow_checksum(head: Head, body: Body) -> Response:
    await asyncio.sleep(0)
    return checksum(head, body)


def sums(data: bytes) -> list[int]:
    return [int(part.partition(b"\r\n\r\n")[2]) for part in data.split(b"HTTP/1.1 200 OK\r\n")[1:]]


def pieces(data: bytes, lengths: Iterable[int]) -> Iterable[bytes]:
    for length in lengths:
        yield data[:length]
        data = data[length:]
    yield data


@pytest.mark.parametrize("handle", [checksum, slow_checksum])
@settings(max_examples=30, deadline=None)
@given(
    size=st.sampled_from([0, 3, 5000, BUFFER_BYTES, 150_000]),
    cuts=st.lists(st.integers(1, 200_000), max_size=5),
    extras=st.lists(st.sampled_from([b"", b"X: 1\r\n"]), min_size=4, max_size=4),
)
def test_every_body_is_answered_as_itself(handle: object, size: int, cuts: list[int], extras: list[bytes]) -> None:
    bodies = [bytes([number]) * size for number in range(4)]

    async def story() -> bytes:
        wire = Wire(Traffic(LIMIT), handle)  # type: ignore[arg-type]
        for piece in pieces(b"".join(request(body, extra) for body, extra in zip(bodies, extras, strict=True)), cuts):
            await wire.feed(piece)
        wire.lose()
        return bytes(wire.written)

    assert sums(asyncio.run(story())) == [zlib.crc32(body) for body in bodies]


@pytest.mark.parametrize("size", [100, 150_000])
def test_a_body_that_is_still_held_stays_as_it_was(size: int) -> None:
    held: list[memoryview] = []

    def hold(_head: Head, body: Body) -> Response:
        held.append(memoryview(body)[:])
        return Response(200, b"1")

    async def story() -> None:
        wire = Wire(Traffic(LIMIT), hold)
        for number in range(4):
            await wire.feed(request(bytes([number]) * size))
        wire.lose()

    asyncio.run(story())
    assert [body.tobytes() for body in held] == [bytes([number]) * size for number in range(4)]


def test_the_buffer_grows_for_a_body_that_comes_again_and_all_of_them_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "KEPT_MAX_BYTES", 150_000)

    async def story() -> None:
        traffic = Traffic(LIMIT)
        wires = [Wire(traffic, checksum) for _ in range(4)]
        for wire in wires:
            await wire.feed(request(bytes(100_000)))
            assert not wire.connection.kept_bytes
            await wire.feed(request(bytes(100_000)))
            assert not wire.connection.body_bytes
            assert len(sums(bytes(wire.written))) == 2
        assert 0 < sum(wire.connection.kept_bytes for wire in wires) <= 150_000
        assert not wires[-1].connection.kept_bytes

    asyncio.run(story())


def test_the_memory_is_used_again_only_when_nobody_holds_it() -> None:
    buffer = ReceiveBuffer(1000)
    first = id(buffer.data)
    buffer.view[:3] = b"abc"
    buffer.filled = 3
    body = buffer.take(1, 3)
    buffer.free()
    assert id(buffer.data) != first
    assert bytes(body) == b"bc"
    second = id(buffer.data)
    del body
    gc.collect()
    buffer.free()
    assert id(buffer.data) == second
