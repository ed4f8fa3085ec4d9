"""Who gets which frame: rules by example, and the books kept under whatever workers do."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.frames.doorbell import Arrived
from edge_agent.frames.giving import ENDED_WITH_IT, OVERRUN, FrameGiver
from edge_agent.frames.messages import Dropped, Ended, Frame, Hello, Leave, Left, Notice, Pool, Ring, Want, decode_to_reader, encode_ring
from edge_agent.sources.source import SourceDropped, SourceError, SourceNotice


class SimulatedWorker:
    """A worker that is a list: hears its doorbell, and answers when the story wants."""

    def __init__(self, giver: FrameGiver) -> None:
        self.heard: list[Ring] = []
        self.payloads: list[bytes] = []
        self.is_gone = False
        giver.join(self._open)

    def _open(self, on_message: Callable[[Arrived], None], on_end: Callable[[], None]) -> "SimulatedWorker":  # a doorbell to the giver
        self._say, self._end = on_message, on_end
        return self

    def ring(self, message: bytes, payload: tuple[memoryview, ...] = (), descriptor: int = -1) -> bool:
        if not self.is_gone:
            self.heard.append(decode_to_reader(message))
            self.payloads.append(b"".join(payload))
            assert (descriptor >= 0) == isinstance(self.heard[-1], Pool)
        return not self.is_gone

    def close(self) -> None:
        self.die()

    @property
    def frames(self) -> list[Frame]:
        return [message for message in self.heard if isinstance(message, Frame)]

    def all(self, kind: type[Ring]) -> list[Ring]:
        return [message for message in self.heard if isinstance(message, kind)]

    def want(self, sequence: int = 0) -> None:
        (hello,) = self.all(Hello)
        self._say(Arrived(encode_ring(Want(hello.epoch, sequence))))

    def answer(self) -> None:
        self.want(self.frames[-1].sequence)

    def leave(self) -> None:
        self._say(Arrived(encode_ring(Leave())))

    def say(self, message: bytes) -> None:
        self._say(Arrived(message))

    def die(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._end()


def sample(number: int) -> dict[str, np.ndarray]:
    return {"x": np.full(16, number % 256, np.uint8)}


def told(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 10))


def live(slots: int = 1) -> FrameGiver:
    return FrameGiver(slots, plain=False)


def test_a_worker_that_is_slow_gets_the_newest_and_the_loss_is_counted() -> None:
    async def story() -> None:
        giver = live()
        worker = SimulatedWorker(giver)
        worker.want()
        for number in range(10):
            giver.offer(f"s:{number}", sample(number))
        assert [frame.name for frame in worker.frames] == ["s:0"]
        worker.answer()
        assert [frame.name for frame in worker.frames] == ["s:0", "s:9"]
        assert worker.all(Dropped) == [Dropped("s:8", OVERRUN, 8)]

    told(story)


def test_frames_go_to_the_newest_that_asked_and_the_old_one_keeps_what_it_has() -> None:
    async def story() -> None:
        giver = live()
        old, new = SimulatedWorker(giver), SimulatedWorker(giver)
        old.want()
        giver.offer("s:1", sample(1))  # the new one is not ready yet
        new.want()
        giver.offer("s:2", sample(2))
        old.answer()
        new.answer()
        giver.offer("s:3", sample(3))
        assert [frame.name for frame in old.frames] == ["s:1"]
        assert [frame.name for frame in new.frames] == ["s:2", "s:3"]

    told(story)


def test_a_worker_that_leaves_has_heard_all_that_was_rung_and_gets_nothing_after() -> None:
    async def story() -> None:
        giver = live()
        worker = SimulatedWorker(giver)
        worker.want()
        giver.offer("s:1", sample(1))
        worker.leave()
        worker.answer()
        giver.offer("s:2", sample(2))
        assert [type(message) for message in worker.heard] == [Hello, Pool, Frame, Left]
        after = SimulatedWorker(giver)
        after.want()
        assert [frame.name for frame in after.frames] == ["s:2"]

    told(story)


def test_a_worker_that_dies_loses_the_frame_it_held_and_no_other() -> None:
    async def story() -> None:
        giver = FrameGiver(0, plain=False)
        worker, other = SimulatedWorker(giver), SimulatedWorker(giver)
        worker.want()
        giver.offer("s:1", sample(1))
        giver.offer("s:2", sample(2))
        worker.die()
        other.want()
        assert other.all(Dropped) == [Dropped("s:1", ENDED_WITH_IT, 1)]
        assert [frame.name for frame in other.frames] == ["s:2"]

    told(story)


def test_one_that_died_unnoticed_while_it_had_nothing_loses_nothing() -> None:
    async def story() -> None:
        giver = FrameGiver(0, plain=False)
        worker = SimulatedWorker(giver)
        worker.want()
        worker.is_gone = True  # its end was not seen yet
        giver.offer("s:1", sample(1))
        worker._end()
        other = SimulatedWorker(giver)
        other.want()
        assert [frame.name for frame in other.frames] == ["s:1"]
        assert not other.all(Dropped)

    told(story)


def test_a_file_waits_until_what_it_gave_is_taken() -> None:
    async def story() -> None:
        giver = FrameGiver(0, plain=False)
        worker = SimulatedWorker(giver)
        worker.want()
        await giver.wait_for_room()
        giver.offer("s:1", sample(1))
        await giver.wait_for_room()  # it was taken at once
        giver.offer("s:2", sample(2))
        waiting = asyncio.create_task(giver.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done()
        worker.answer()
        await waiting
        assert [frame.name for frame in worker.frames] == ["s:1", "s:2"]

    told(story)


def test_trouble_that_lasts_is_said_to_whoever_comes_until_there_is_a_sample() -> None:
    async def story() -> None:
        giver = live()
        first, second, third = (SimulatedWorker(giver) for _ in range(3))
        giver.notice(SourceNotice("no camera", failed=True))
        first.want()
        second.want()
        giver.notice(SourceNotice("camera again"))
        giver.offer("s:1", sample(1))
        third.want()
        assert first.all(Notice) == [Notice("no camera", failed=True)]
        assert second.all(Notice) == [Notice("no camera", failed=True), Notice("camera again", failed=False)]
        assert not third.all(Notice)

    told(story)


@pytest.mark.parametrize(("error", "text"), [(None, ""), (SourceError("the disk is gone"), "the disk is gone")])
def test_the_end_comes_after_the_last_frame_and_to_whoever_comes_later(error: SourceError | None, text: str) -> None:
    async def story() -> None:
        giver = FrameGiver(0, plain=False)
        giver.offer("s:1", sample(1))
        giver.end(error)
        for worker in (SimulatedWorker(giver), SimulatedWorker(giver)):
            worker.want()
            if worker.frames:
                worker.answer()
            assert worker.heard[-1] == Ended(text)

    told(story)


def test_losses_are_told_by_reason_and_their_number_is_bounded() -> None:
    async def story() -> None:
        giver = live()
        for number in range(1000):
            giver.drop(SourceDropped(f"f:{number}", f"reason {number % 500}"))
        worker = SimulatedWorker(giver)
        worker.want()
        losses = worker.all(Dropped)
        assert len(losses) == 65
        assert sum(loss.amount for loss in losses) == 1000  # type: ignore[attr-defined]

    told(story)


def test_a_worker_that_speaks_nonsense_is_cut_off_and_the_others_go_on() -> None:
    async def story() -> None:
        giver = live()
        good, bad = SimulatedWorker(giver), SimulatedWorker(giver)
        good.want()
        bad.want()
        giver.offer("s:1", sample(1))
        bad.say(b"\x00nonsense")
        giver.offer("s:2", sample(2))
        assert bad.is_gone
        assert [frame.name for frame in good.frames] == ["s:2"]
        assert good.all(Dropped) == [Dropped("s:1", ENDED_WITH_IT, 1)]

    told(story)


def test_what_an_earlier_capture_process_gave_frees_nothing_here() -> None:
    async def story() -> None:
        giver = live()
        worker = SimulatedWorker(giver)
        worker.say(encode_ring(Want(12345, 1)))
        giver.offer("s:1", sample(1))
        assert not worker.frames
        worker.want()
        assert len(worker.frames) == 1

    told(story)


def test_without_slots_the_bytes_come_along() -> None:
    async def story() -> None:
        giver = FrameGiver(1, plain=True)
        worker = SimulatedWorker(giver)
        worker.want()
        giver.offer("s:1", sample(7))
        assert worker.payloads[-1] == bytes([7]) * 16
        assert not worker.all(Pool)

    told(story)


ACTIONS = st.lists(st.tuples(st.sampled_from(["offer", "offer", "join", "want", "answer", "leave", "die"]), st.integers(0, 3)), max_size=60)


@settings(deadline=None)
@given(live_slots=st.integers(0, 3), actions=ACTIONS)
def test_every_sample_is_answered_waits_or_is_counted_and_no_slot_that_is_read_is_written(
    live_slots: int, actions: list[tuple[str, int]]
) -> None:
    async def story() -> None:
        giver, workers, answered, offered = FrameGiver(live_slots, plain=False), [], 0, 0
        for action, index in actions:
            worker = workers[index % len(workers)] if workers else None
            if action == "offer" and (live_slots or not giver._waiting):
                offered += 1
                giver.offer(f"s:{offered}", sample(offered))
            elif action == "join":
                workers.append(SimulatedWorker(giver))
            elif worker is None or worker.is_gone:
                continue
            elif action == "want":
                worker.want()
            elif action == "answer" and worker.frames:
                held = [reader.held for reader in giver._readers if reader.doorbell is worker]
                answered += held[0] is not None and held[0].frame.sequence == worker.frames[-1].sequence
                worker.answer()
            elif action in {"leave", "die"}:
                getattr(worker, action)()
            _check_books(giver, workers, answered, offered)

    told(story)


def _check_books(giver: FrameGiver, workers: list[SimulatedWorker], answered: int, offered: int) -> None:
    held = [reader.held for reader in giver._readers if reader.held is not None]
    said = sum(loss.amount for worker in workers for loss in worker.all(Dropped))  # type: ignore[attr-defined]
    lost = said + sum(loss.amount for loss in giver._dropped.values())
    assert answered + len(held) + len(giver._waiting) + lost == offered
    places = [(id(one.stored.room), one.stored.slot) for one in (*held, *giver._waiting)]
    assert len(set(places)) == len(places)
    for one in (*held, *giver._waiting):
        (tensor,) = one.frame.tensors
        written = np.frombuffer(one.stored.room.memory, np.uint8, 16, tensor.offset)  # type: ignore[attr-defined]
        assert set(written) == {one.frame.sequence % 256}
