import asyncio
import os
import selectors
import sys
import time
from collections.abc import Iterator

import pytest

if sys.platform != "linux":
    pytest.skip("epoll is of Linux alone", allow_module_level=True)

from edge_agent.worker import busy_polling
from edge_agent.worker.busy_polling import POLL_S, SHORT_BEFORE, SHORT_BEFORE_MOST, BusyPollSelector


class Clock:
    """Stands in for the module's clock; every look at it moves it on by `step_s`."""

    def __init__(self) -> None:
        self.now_s, self.step_s = 0.0, 1e-6

    def perf_counter(self) -> float:
        self.now_s += self.step_s
        return self.now_s


class Bench:
    """A selector and a pipe that it watches. `awake` counts how often it looked without sleeping."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.reading, self.writing = os.pipe()
        self.selector = BusyPollSelector()
        self.selector.register(self.reading, selectors.EVENT_READ)
        self.awake = 0
        self._same = self.selector._same
        self.selector._same = self  # type: ignore[assignment]

    def poll(self, timeout: float, count: int) -> list[tuple[int, int]]:
        self.awake += 1
        return self._same.poll(timeout, count)

    def wait(self, step_s: float = 1e-6) -> None:
        """For a byte that is there."""
        os.write(self.writing, b"x")
        self.clock.step_s = step_s
        assert [key.fd for key, _ in self.selector.select()] == [self.reading]
        os.read(self.reading, 1)

    def wait_in_vain(self) -> None:
        """For nothing, until the timeout."""
        self.clock.step_s = 1e-6
        assert self.selector.select(0.001) == []

    def waits_awake(self) -> bool:
        before = self.awake
        self.wait()
        return self.awake > before

    def close(self) -> None:
        self._same.close()
        super(BusyPollSelector, self.selector).close()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    clock = Clock()
    monkeypatch.setattr(busy_polling, "time", clock)
    bench = Bench(clock)
    yield bench
    bench.close()


def test_it_waits_awake_only_after_several_short_waits(bench: Bench) -> None:
    assert [bench.waits_awake() for _ in range(SHORT_BEFORE + 2)] == [False] * SHORT_BEFORE + [True, True]


def test_one_long_wait_and_it_sleeps_again(bench: Bench) -> None:
    for _ in range(SHORT_BEFORE - 1):
        bench.wait()
    bench.wait(step_s=2 * POLL_S)
    assert not any(bench.waits_awake() for _ in range(SHORT_BEFORE))


def test_frames_at_an_even_pace_are_never_waited_for_awake(bench: Bench) -> None:
    for _ in range(100):
        bench.wait(step_s=1 / 30)
    assert bench.awake == 0


def test_a_look_in_vain_ends_and_makes_the_next_one_rarer(bench: Bench) -> None:
    wanted = SHORT_BEFORE
    for _ in range(12):
        for _ in range(wanted):
            assert not bench.waits_awake()
        bench.wait_in_vain()
        wanted = min(2 * wanted, SHORT_BEFORE_MOST)
    assert wanted == SHORT_BEFORE_MOST


def test_a_look_that_finds_something_makes_up_for_one_in_vain(bench: Bench) -> None:
    for _ in range(SHORT_BEFORE):
        bench.wait()
    for _ in range(3):
        bench.wait_in_vain()
        assert [bench.waits_awake() for _ in range(2 * SHORT_BEFORE + 1)] == [False] * 2 * SHORT_BEFORE + [True]


def test_a_loop_with_it_serves_a_fast_client_and_timers() -> None:
    async def story() -> int:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(100):
                writer.write(piece)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(50):
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        begun_s = time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - begun_s >= 0.019
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return 7

    assert busy_polling.run(story()) == 7


def test_without_a_second_core_nothing_is_waited_for_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    async def loop_name() -> int:
        selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
        return int(isinstance(selector, BusyPollSelector))

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert busy_polling.run(loop_name()) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert busy_polling.run(loop_name()) == 1
    assert asyncio.run(loop_name()) == 0, "only who asks waits awake, on every Python"
