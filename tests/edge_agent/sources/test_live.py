import asyncio
import threading
import time
from collections.abc import Callable

import numpy as np

from edge_agent.sources.live import LivePolicy, Mailbox, ThreadedSource
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice, SourceSample
from tests.simulators.waiting import wait_until

QUICK = LivePolicy(slots=2, backoff_first_s=0.001, backoff_last_s=0.01, patience_s=0.02)


def sample(number: int) -> dict[str, np.ndarray]:
    return {"x": np.array([number], np.float32)}


def drive(source: ThreadedSource, enough: Callable[[list[Item]], bool], on_item: Callable[[Item], None] | None = None) -> list[Item]:
    async def collect() -> list[Item]:
        found: list[Item] = []
        items = source.items()
        async for item in items:
            found.append(item)
            if on_item is not None:
                on_item(item)
            if enough(found):
                break
        await items.aclose()
        return found

    return asyncio.run(asyncio.wait_for(collect(), 10))


def test_a_slow_model_gets_the_newest_and_every_loss_is_counted() -> None:
    put = threading.Event()

    def capture(box: Mailbox) -> None:
        for number in range(1, 101):
            box.put(f"s:{number}", sample(number))
        put.set()
        box.stopped.wait()

    items = drive(ThreadedSource("s", capture, QUICK), lambda found: found[-1].name == "s:100", lambda _: put.wait(5) and None)
    taken = [item for item in items if isinstance(item, SourceSample)]
    lost = sum(item.amount for item in items if isinstance(item, SourceDropped))
    assert len(taken) + lost == 100
    assert len(taken) <= 4
    assert [item.name for item in taken[-2:]] == ["s:99", "s:100"]


def test_capture_never_waits_for_the_model() -> None:
    loop = asyncio.new_event_loop()  # which does not run: nobody takes
    box = Mailbox("s", 1, loop)
    begun = time.monotonic()
    for number in range(10_000):
        box.put("s", sample(number))
    assert time.monotonic() - begun < 2
    loop.close()


def test_a_file_waits_for_room_and_loses_nothing() -> None:
    def capture(box: Mailbox) -> None:
        for number in range(50):
            assert box.put_in_turn(f"s:{number}", sample(number))

    items = drive(ThreadedSource("s", capture, None), lambda _: False)
    assert [item.name for item in items] == [f"s:{number}" for number in range(50)]


def test_a_source_that_always_has_more_leaves_the_event_loop_to_others() -> None:
    def capture(box: Mailbox) -> None:
        while not box.stopped.is_set():
            box.put("s", sample(1))

    async def story() -> tuple[int, int]:
        turns = taken = 0
        ended = False

        async def other_work() -> None:
            nonlocal turns
            while not ended:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other_work())
        items = ThreadedSource("s", capture, LivePolicy(slots=16)).items()
        async for item in items:
            taken += isinstance(item, SourceSample)
            if taken == 200:
                break
        ended = True
        await items.aclose()
        await beside
        return turns, taken

    turns, taken = asyncio.run(asyncio.wait_for(story(), 10))
    assert turns >= taken


def test_a_source_that_fails_now_and_then_is_opened_again() -> None:
    tries = []

    def capture(box: Mailbox) -> None:
        tries.append(len(tries))
        if len(tries) % 3:
            raise SourceError("the cable is out")
        box.put(f"s:{len(tries)}", sample(1))

    items = drive(ThreadedSource("s", capture, QUICK), lambda found: len([i for i in found if isinstance(i, SourceSample)]) == 3)
    assert [item.name for item in items if isinstance(item, SourceSample)] == ["s:3", "s:6", "s:9"]


def test_trouble_that_lasts_is_said_once_and_so_is_its_end() -> None:
    state = {"broken": True}

    def capture(box: Mailbox) -> None:
        if state["broken"]:
            raise SourceError("the cable is out")
        box.put("s", sample(1))
        state["broken"] = box.put_count < 3
        if state["broken"]:
            return
        box.stopped.wait()

    def notice(item: Item) -> None:
        if isinstance(item, SourceNotice) and "cable" in item.text:
            state["broken"] = False

    items = drive(ThreadedSource("s", capture, QUICK), lambda found: sum(isinstance(i, SourceSample) for i in found) == 3, notice)
    notices = [item for item in items if isinstance(item, SourceNotice)]
    assert notices == [
        SourceNotice("the cable is out; it is tried again", failed=True),  # it had never worked
        SourceNotice("s gives samples again"),
        SourceNotice("the cable is out; it is tried again"),
        SourceNotice("s gives samples again"),
        SourceNotice("the cable is out; it is tried again"),
        SourceNotice("s gives samples again"),
    ]


def test_whatever_a_devices_library_raises_is_trouble_and_no_more() -> None:
    def capture(_: Mailbox) -> None:
        raise RuntimeError("driver says no")

    items = drive(ThreadedSource("s", capture, QUICK), bool)
    assert items == [SourceNotice("s failed: RuntimeError: driver says no; it is tried again", failed=True)]


def test_the_thread_ends_with_the_source() -> None:
    ended = threading.Event()
    stopped = threading.Event()

    def capture(box: Mailbox) -> None:
        box.put("s", sample(1))
        with box.ending_with(stopped.set):
            box.stopped.wait()
        ended.set()

    drive(ThreadedSource("s", capture, QUICK), bool)
    assert ended.wait(10)
    assert stopped.is_set()


def test_what_is_delivered_comes_at_once_and_on_the_capture_thread() -> None:
    found: list[tuple[Item, str]] = []
    enough = threading.Event()

    def capture(box: Mailbox) -> None:
        for number in range(5):
            box.put(f"s:{number}", sample(number))
            assert found[-1][0].name == f"s:{number}", "before the next one is captured"  # type: ignore[union-attr]
        box.drop("s:5", "no sample")
        enough.set()
        box.stopped.wait()

    async def story() -> None:
        delivering = asyncio.create_task(
            ThreadedSource("s", capture, QUICK).deliver(lambda item: found.append((item, threading.current_thread().name)))
        )
        await asyncio.to_thread(enough.wait, 10)
        delivering.cancel()
        await asyncio.wait([delivering])

    asyncio.run(story())
    assert {thread for _, thread in found} == {"source-s"}
    assert [type(item) for item, _ in found] == [SourceSample] * 5 + [SourceDropped]


def test_how_long_a_device_owes_a_sample_is_known_while_it_is_asked_and_only_then() -> None:
    asked, gives, fails = threading.Event(), threading.Event(), threading.Event()

    def capture(box: Mailbox) -> None:
        asked.set()
        gives.wait(5)
        box.put("s", sample(1))
        fails.wait(5)
        raise SourceError("the cable is out")

    async def story() -> None:
        source = ThreadedSource("s", capture, LivePolicy(backoff_first_s=60))
        assert source.silent_s == 0.0
        delivered = threading.Event()
        delivering = asyncio.create_task(source.deliver(lambda _: delivered.set()))
        await asyncio.to_thread(asked.wait, 5)
        first_s = source.silent_s
        await asyncio.to_thread(wait_until, lambda: source.silent_s > first_s + 0.05)
        since_s = source._box.owed_since_s
        gives.set()
        await asyncio.to_thread(delivered.wait, 5)
        assert source._box.owed_since_s > since_s, "it begins anew with the sample"
        fails.set()
        await asyncio.to_thread(wait_until, lambda: source.silent_s == 0.0)
        delivering.cancel()
        await asyncio.wait([delivering])

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_file_owes_nothing() -> None:
    seen = []

    def capture(box: Mailbox) -> None:
        time.sleep(0.01)
        seen.append(source.silent_s)
        box.put_in_turn("s", sample(1))

    source = ThreadedSource("s", capture, None)
    drive(source, lambda _: False)
    assert seen == [0.0]


def test_a_device_that_is_open_and_gives_nothing_is_said_once_and_so_is_its_end() -> None:
    gives = threading.Event()

    def capture(box: Mailbox) -> None:
        box.put("s", sample(1))
        gives.wait(10)
        box.put("s", sample(2))
        box.stopped.wait()

    def on_item(item: Item) -> None:
        if isinstance(item, SourceNotice):
            gives.set()

    source = ThreadedSource("s", capture, LivePolicy(silent_s=0.05))
    items = drive(source, lambda found: sum(isinstance(item, SourceSample) for item in found) == 2, on_item)
    notices = [item for item in items if isinstance(item, SourceNotice)]
    assert len(notices) == 2
    assert "s has given nothing for" in notices[0].text
    assert not notices[0].failed
    assert notices[1] == SourceNotice("s gives samples again")


def test_a_device_that_is_open_and_never_gave_a_sample_has_failed_in_the_end() -> None:
    def capture(box: Mailbox) -> None:
        box.stopped.wait()

    items = drive(ThreadedSource("s", capture, LivePolicy(silent_s=0.05)), lambda found: len(found) == 2)
    assert [(item.failed, "never a sample" in item.text) for item in items if isinstance(item, SourceNotice)] == [
        (False, False),
        (True, True),
    ]


def test_a_source_that_may_be_silent_or_is_delivered_says_nothing_of_silence() -> None:
    def capture(box: Mailbox) -> None:
        box.stopped.wait(0.3)
        box.put("s", sample(1))
        box.stopped.wait()

    assert [type(item) for item in drive(ThreadedSource("s", capture, QUICK), bool)] == [SourceSample]
    found: list[Item] = []

    async def story() -> None:
        source = ThreadedSource("s", capture, LivePolicy(silent_s=0.02))
        delivering = asyncio.create_task(source.deliver(found.append))
        await asyncio.to_thread(wait_until, lambda: bool(found))
        delivering.cancel()
        await asyncio.wait([delivering])

    asyncio.run(story())
    assert [type(item) for item in found] == [SourceSample]
