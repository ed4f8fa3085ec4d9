"""What a worker tells of its sinks: what is broken, with numbers, for as long as it is, and nothing of one that works."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from edge_agent.sinks.sink import SinkHealth
from edge_agent.worker import sink_watch
from edge_agent.worker.messages import FromWorker, SinkSaid, SinkState
from edge_agent.worker.sink_watch import LASTING_LOOKS, SinkWatch


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_watch, "LOOK_EVERY_S", 0.005)


class Watching:
    """A watch of one sink, and what it told."""

    def __init__(self) -> None:
        self.health = SinkHealth("webhook x", queue=[])
        self.told: list[FromWorker] = []
        self.watch = SinkWatch(self.told.append)
        self.watch.add(self.health, "see to it")

    @property
    def states(self) -> list[SinkState]:
        assert all(isinstance(message, SinkSaid) for message in self.told)
        return [message.state for message in self.told if isinstance(message, SinkSaid)]

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():  # noqa: ASYNC110  (nothing announces it)
            await asyncio.sleep(0.001)


def story(tell: Callable[[Watching], object]) -> None:
    async def run() -> None:
        watching = Watching()
        await tell(watching)  # type: ignore[misc]
        watching.watch.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_loss_is_told_at_once_its_number_while_it_grows_and_then_that_it_works_again() -> None:
    async def tell(watching: Watching) -> None:
        health = watching.health
        health.offered = 3
        health.fails("answered 404")
        await watching.until(lambda: watching.told)
        first = watching.states[0]
        assert (first.name, first.reason, first.offered, first.lost, first.waiting) == ("webhook x", "answered 404", 3, 1, 0)
        assert (first.since[:2], first.advice) == ("20", "see to it")
        health.fails("answered 404", lost=2)
        await watching.until(lambda: watching.states[-1].lost == 3)
        assert watching.states[-1].since == first.since
        health.works()
        await watching.until(lambda: not watching.states[-1].reason)
        assert watching.states[-1] == SinkState("webhook x", offered=3, lost=3)
        count = len(watching.told)
        health.works()
        await asyncio.sleep(0.05)
        assert len(watching.told) == count

    story(tell)


def test_a_sink_that_fails_with_every_second_record_does_not_work_again_in_between() -> None:
    async def tell(watching: Watching) -> None:
        for _ in range(LASTING_LOOKS * 4):
            watching.health.fails("no lamp")
            watching.health.works()
            await asyncio.sleep(0.005)
        assert all(state.reason == "no lamp" for state in watching.states)
        await watching.until(lambda: not watching.states[-1].reason)
        assert watching.states[-1].lost == LASTING_LOOKS * 4

    story(tell)


def test_what_waits_is_told_only_where_it_lasts() -> None:
    async def tell(watching: Watching) -> None:
        queue: list[object] = watching.health.queue  # type: ignore[assignment]
        queue.append("a record")
        watching.health.fails("no answer", lost=0)
        watching.health.works()
        await asyncio.sleep(0.1)
        assert not watching.told, "a single try that failed"
        watching.health.fails("no answer", lost=0)
        await watching.until(lambda: watching.told)
        assert (watching.states[0].reason, watching.states[0].lost, watching.states[0].waiting) == ("no answer", 0, 1)

    story(tell)


def test_a_sinks_own_thread_may_say_it_also_when_the_loop_is_gone() -> None:
    healths: list[SinkHealth] = []

    async def tell(watching: Watching) -> None:
        healths.append(watching.health)
        thread = threading.Thread(target=watching.health.fails, args=("no broker",))
        thread.start()
        await watching.until(lambda: watching.told)
        thread.join()
        watching.health.lost += 5
        watching.watch.close()
        assert [state.lost for state in watching.states] == [1, 6]
        watching.health.works()

    story(tell)
    healths[0].fails("too late")


def test_a_file_name_that_is_no_text_can_be_told() -> None:
    async def tell(watching: Watching) -> None:
        watching.health.fails(OSError(2, "No such file", "out/\udcff.jsonl"))
        await watching.until(lambda: watching.told)
        from edge_agent.worker.messages import decode_from_worker, encode_line

        assert decode_from_worker(encode_line(watching.told[0])) == watching.told[0]

    story(tell)
