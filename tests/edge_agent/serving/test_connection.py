import asyncio
import gc
import itertools
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import Head, Response
from edge_agent.serving.patience import Patience
from edge_agent.serving.traffic import Traffic
from tests.edge_agent.serving.test_http_messages import SCRAPS, chunk
from tests.edge_agent.serving.wires import LIMIT, Wire, turns_until

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


def echo(head: Head, body: Body) -> Response:
    return Response(200, b"%b:%d" % (head.path.encode(), len(body)), "text/plain")


async def slow_echo(head: Head, body: Body) -> Response:
    await asyncio.sleep(0)
    return echo(head, body)


def answer_to(pieces: list[bytes], handle: object = echo) -> bytes:
    async def story() -> bytes:
        wire = Wire(Traffic(LIMIT), handle)  # type: ignore[arg-type]
        for piece in pieces:
            await wire.feed(piece)
        wire.lose()
        return bytes(wire.written)

    return asyncio.run(story())


def requests() -> list[bytes]:
    return [
        b"GET /v2/a HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + chunk(b"world") + b"0\r\n\r\n",
        HEAD + b"Content-Length: 70000\r\n\r\n" + bytes(70_000),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(bytes(66_000)) + b"0\r\n\r\n",
        b"GET /v2/b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ]


@pytest.mark.parametrize("handle", [echo, slow_echo])
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 140_000), max_size=6))
def test_requests_that_come_in_any_pieces_are_answered_in_order(handle: object, cuts: list[int]) -> None:
    data = b"".join(requests())
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    answers = answer_to([data[begin:end] for begin, end in itertools.pairwise(places)], handle)
    found = [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert found == [b"/v2/a:0", b"/predict:5", b"/predict:10", b"/predict:70000", b"/predict:66000", b"/v2/b:0"]


def test_after_a_refusal_nothing_that_follows_is_answered() -> None:
    smuggled = HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + requests()[0]
    answers = answer_to([smuggled])
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


def test_a_client_that_does_not_read_gets_no_more_answers_until_it_does() -> None:
    async def story() -> None:
        wire = Wire(Traffic(LIMIT), echo)
        wire.connection.pause_writing()
        feeding = asyncio.create_task(wire.feed(requests()[0] * 3))
        await asyncio.sleep(0.01)
        assert not wire.written
        Patience(unread_s=0.001).end_if_due(wire.connection, asyncio.get_running_loop().time() - 60)
        assert not wire.closed
        wire.connection.resume_writing()
        await feeding
        await turns_until(lambda: wire.written.count(b"HTTP/1.1 200") == 3)
        wire.connection.pause_writing()
        Patience().end_if_due(wire.connection, asyncio.get_running_loop().time() + 21)
        assert wire.closed

    asyncio.run(story())


@pytest.mark.parametrize("handle", [echo, slow_echo])
def test_an_answer_is_written_before_it_is_counted(handle: object) -> None:
    async def story() -> list[int]:
        traffic = Traffic(LIMIT)
        wire, written_bytes = Wire(traffic, handle), []  # type: ignore[arg-type]
        traffic.on_answered = lambda: written_bytes.append(len(wire.written))
        for _ in range(2):
            await wire.feed(requests()[0])
            await turns_until(lambda: wire.connection.idle)
        assert traffic.answers[200] == 2
        return written_bytes

    length = len(answer_to([requests()[0]]))
    assert asyncio.run(story()) == [length, 2 * length]


def test_an_empty_line_behind_a_body_begins_no_request() -> None:
    async def story() -> bytes:
        wire = Wire(Traffic(LIMIT), echo)
        await wire.feed(requests()[1] + b"\r\n")
        await turns_until(lambda: wire.connection.idle)
        assert wire.connection.receiving_since_s is None
        await wire.feed(b"\r")
        assert not wire.connection.idle
        await wire.feed(b"\n" + requests()[0])
        await turns_until(lambda: wire.connection.idle)
        return bytes(wire.written)

    assert asyncio.run(story()).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("sent", "after_s", "ends"),
    [
        (b"", 70, False),
        (b"", 76, True),
        (b"GET /v2", 9, False),
        (b"GET /v2", 11, True),
        (HEAD + b"Content-Length: 100000\r\n\r\n", 19, False),
        (HEAD + b"Content-Length: 100000\r\n\r\n", 21, True),
        (HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(50_000), 24, False),
        (HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(50_000), 26, True),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(bytes(50_000)), 24, False),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(bytes(50_000)), 26, True),
    ],
)
def test_a_slow_request_ends_by_the_time_since_its_first_byte(sent: bytes, after_s: float, ends: bool) -> None:
    async def story() -> None:
        wire = Wire(Traffic(LIMIT), echo)
        begun_s = asyncio.get_running_loop().time()
        await wire.feed(sent)
        wire.connection.last_activity_s = begun_s if not sent else begun_s + after_s  # a byte came just now; it does not help
        Patience().end_if_due(wire.connection, begun_s + after_s)
        assert (wire.closed or wire.connection.lingering) is ends
        assert (b"HTTP/1.1 408 " in wire.written) is (ends and bool(sent))

    asyncio.run(story())


def test_requests_sent_ahead_leave_turns_to_others() -> None:
    async def story() -> None:
        traffic = Traffic(LIMIT)
        greedy, modest = Wire(traffic, echo), Wire(traffic, echo)
        feeding = asyncio.create_task(greedy.feed(requests()[0] * 50))
        await asyncio.sleep(0)
        await modest.feed(requests()[0])
        assert modest.written.count(b"HTTP/1.1 200") == 1
        assert greedy.written.count(b"HTTP/1.1 200") < 50
        await feeding
        await turns_until(lambda: greedy.written.count(b"HTTP/1.1 200") == 50)

    asyncio.run(story())


def test_an_error_of_the_service_is_an_answer_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    def break_down(head: Head, body: Body) -> Response:
        raise RuntimeError(head.path)

    answers = answer_to([requests()[0]], break_down)
    assert answers.startswith(b"HTTP/1.1 500 ")
    assert "a request failed" in caplog.text


@settings(max_examples=150, deadline=None)
@given(st.lists(SCRAPS, max_size=4), st.sampled_from([b"", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", requests()[0]]))
def test_bytes_of_any_kind_get_answers_and_never_an_exception(pieces: list[bytes], start: bytes) -> None:
    answers = answer_to([start, *pieces])
    assert answers == b"" or answers.startswith(b"HTTP/1.1 ")


def test_two_thousand_broken_connections_leave_nothing_behind() -> None:
    traffic = Traffic(LIMIT)
    source = random.Random(7)
    material = b"".join(requests()[:3])

    async def attack(rounds: int) -> None:
        for _ in range(rounds):
            data = bytearray(material)
            for _ in range(source.randint(1, 8)):
                data[source.randrange(len(data))] = source.randrange(256)
            wire = Wire(traffic, echo)
            await wire.feed(bytes(data[: source.randrange(len(data))]))
            wire.lose()

    asyncio.run(attack(200))
    gc.collect()
    before = sys.getallocatedblocks()
    asyncio.run(attack(2000))
    gc.collect()
    assert not traffic.connections
    assert sys.getallocatedblocks() - before < 3000
    assert set(traffic.answers) <= {200, 400, 408, 411, 413, 414, 417, 421, 431, 501, 505}
