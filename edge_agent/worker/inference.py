"""The one place in a worker where the engine is called: fast models on the event loop, slow ones in a thread of their own.

A hop to a thread costs up to 0.2 ms, so a model of less than `INLINE_BELOW_US` answers on the loop.
Slower ones get a queue with a bound: what is above it is refused at once, not late, and who gives up
(a deadline, a closed connection) leaves the queue.
"""

import asyncio
import concurrent.futures
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from edge_agent.engine.engine import Engine, Prediction, Sample
from edge_agent.engine.errors import InferenceError
from edge_agent.worker.shadow_tap import ShadowTap
from edge_agent.worker.windows import WindowRecorder

INLINE_BELOW_US = 5000.0


class QueueFullError(Exception):
    """More requests wait than the queue holds; try again later."""


class DeadlineError(Exception):
    """There was no answer in time."""


class _Turn:
    """A sample that waits for the engine, and who waits for its answer."""

    def __init__(self, sample: Sample, answer: "asyncio.Future[Prediction]", source: str) -> None:
        self.sample = sample
        self.answer = answer
        self.source = source

    def expire(self) -> None:
        """The deadline is here."""
        if not self.answer.done():
            self.answer.set_exception(DeadlineError("there was no answer before the request's deadline"))


class Inference:
    """Engine, statistics and queue."""

    def __init__(self, engine: Engine, recorder: WindowRecorder, *, latency_us: float, queue_length: int) -> None:
        self.engine = engine
        self.recorder = recorder
        self.inline = latency_us < INLINE_BELOW_US
        self.queue_length = queue_length
        self.tap: ShadowTap | None = None  # to a candidate in the shadow
        self._latency_s = latency_us / 1e6
        self._waiting: deque[_Turn] = deque()
        self._running: asyncio.Future[Prediction] | None = None
        self._held = self._closed = False
        self._lock = asyncio.Lock()
        self._progress: asyncio.Future[None] | None = None
        self._thread = None if self.inline else concurrent.futures.ThreadPoolExecutor(1, "inference")

    @property
    def retry_after_s(self) -> int:
        """When a refused request may come again: the time the queue needs, in whole seconds."""
        return max(1, round(self._latency_s * self.queue_length))

    @property
    def queue_depth(self) -> int:
        """How many samples wait for the engine."""
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """How many samples wait or are with the engine."""
        return len(self._waiting) + (self._running is not None)

    def answer_now(self, sample: Sample) -> Prediction:
        """Answer on the calling thread; `count` must follow.

        Raises:
            InputError: the sample does not fit the model.
            InferenceError: the runtime failed; this is counted.
        """
        try:
            return self.engine.answer(sample)
        except InferenceError:
            self.recorder.record_error()
            raise

    def count(self, sample: Sample, prediction: Prediction, source: str = "") -> None:
        """Count an answer, and let a candidate see it; `source` is the sample's name where an application's source brought it."""
        self.recorder.record(prediction)
        if self.tap is not None:
            self.tap.offer(sample, prediction, source)

    def predict_now(self, sample: Sample, source: str = "") -> Prediction:
        """Both of them; raises as `answer_now`."""
        prediction = self.answer_now(sample)
        self.count(sample, prediction, source)
        return prediction

    async def predict(self, sample: Sample, timeout_s: float | None = None, *, admitted: bool = False, source: str = "") -> Prediction:
        """Answer in turn, and count it; raises as `predict_now`.

        `admitted` is for further samples of a request that was let in: the bound was checked with its first.

        Raises:
            QueueFullError: too many wait already.
            DeadlineError: `timeout_s` went by; an inference under way is counted all the same.
        """
        if self._thread is None:
            return self.predict_now(sample, source)
        if self.under_way > self.queue_length and not admitted:
            self.recorder.record_drop()
            raise QueueFullError(f"{self.under_way} requests are under way, more are not taken")
        return await self._take_turn(sample, timeout_s, source)

    async def _take_turn(self, sample: Sample, timeout_s: float | None, source: str) -> Prediction:
        loop = asyncio.get_running_loop()
        turn = _Turn(sample, loop.create_future(), source)
        alarm = None if timeout_s is None else loop.call_later(timeout_s, turn.expire)
        self._waiting.append(turn)
        self._begin_next()
        try:
            return await turn.answer
        except DeadlineError:
            self.recorder.record_deadline_miss()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)

    def _begin_next(self) -> None:
        if self._running is not None or self._held or self._closed or not self._waiting:
            return
        turn = self._waiting.popleft()
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, self.engine.answer, turn.sample)
        self._running.add_done_callback(lambda done: self._finish(turn, done))

    def _finish(self, turn: _Turn, done: "asyncio.Future[Prediction]") -> None:
        self._running = None
        if not done.cancelled():
            self._deliver(turn, done)
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(None)
        self._begin_next()

    def _deliver(self, turn: _Turn, done: "asyncio.Future[Prediction]") -> None:
        error = done.exception()
        if error is None:
            self.count(turn.sample, done.result(), turn.source)
        elif isinstance(error, InferenceError):
            self.recorder.record_error()
        if turn.answer.done():  # who asked has given up
            return
        if error is None:
            turn.answer.set_result(done.result())
        else:
            turn.answer.set_exception(error)

    def set_tap(self, tap: ShadowTap | None) -> None:
        """Hand samples and answers to a candidate from now on; None: to nobody."""
        before, self.tap = self.tap, tap
        if before is not None:
            before.close()

    async def settle(self) -> None:
        """Return when the inference under way is done, at once where there is none: the sign that work gets done."""
        if self._running is None:
            return
        if self._progress is None or self._progress.done():
            self._progress = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._progress)

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[Engine]:
        """The engine for as long as the block, with no other inference beside."""
        async with self._lock:
            self._held = True
            try:
                while self._running is not None:
                    await asyncio.wait([self._running])
                yield self.engine
            finally:
                self._held = False
                self._begin_next()

    def close(self) -> None:
        """End the thread and give the engine's memory back."""
        self._closed = True
        self.set_tap(None)
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self.engine.close()
