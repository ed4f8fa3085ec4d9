"""The one place in a worker where the engine is called: fast models on the event loop, slow ones in a thread of their own.

A hop to a thread costs up to 0.2 ms, so a model of less than `INLINE_BELOW_US` answers on the loop.
Slower ones get a queue with a bound: what is above it is refused at once, not late.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator

from edge_agent.engine.engine import Engine, Prediction, Sample
from edge_agent.engine.errors import InferenceError
from edge_agent.worker.windows import WindowRecorder

INLINE_BELOW_US = 5000.0


class QueueFullError(Exception):
    """More requests wait than the queue holds; try again later."""


class Inference:
    """Engine, statistics and queue."""

    def __init__(self, engine: Engine, recorder: WindowRecorder, *, latency_us: float, queue_length: int) -> None:
        self.engine = engine
        self.recorder = recorder
        self.inline = latency_us < INLINE_BELOW_US
        self.under_way = 0
        self._queue_length = queue_length
        self._latency_s = latency_us / 1e6
        self._lock = asyncio.Lock()
        self._progress: asyncio.Future[None] | None = None
        self._thread = None if self.inline else concurrent.futures.ThreadPoolExecutor(1, "inference")

    @property
    def retry_after_s(self) -> int:
        """When a refused request may come again: the time the queue needs, in whole seconds."""
        return max(1, round(self._latency_s * self._queue_length))

    def predict_now(self, sample: Sample) -> Prediction:
        """Answer on the calling thread and count it.

        Raises:
            InputError: the sample does not fit the model.
            InferenceError: the runtime failed.
        """
        try:
            prediction = self.engine.predict(sample)
        except InferenceError:
            self.recorder.record_error()
            raise
        self.recorder.record(prediction)
        return prediction

    async def predict(self, sample: Sample) -> Prediction:
        """Answer in turn, and count it; raises as `predict_now`.

        Raises:
            QueueFullError: too many wait already.
        """
        if self._thread is None:
            return self.predict_now(sample)
        if self.under_way > self._queue_length:
            self.recorder.record_drop()
            raise QueueFullError(f"{self.under_way} requests are under way, more are not taken")
        self.under_way += 1
        try:
            async with self._lock:
                prediction = await asyncio.get_running_loop().run_in_executor(self._thread, self.engine.predict, sample)
        except InferenceError:
            self.recorder.record_error()
            raise
        finally:
            self.under_way -= 1
            self._tell_progress()
        self.recorder.record(prediction)
        return prediction

    def _tell_progress(self) -> None:
        if self._progress is not None and not self._progress.done():
            self._progress.set_result(None)

    async def settle(self) -> None:
        """Return when the next inference is done, at once where none is under way: the sign that work gets done."""
        if not self.under_way:
            return
        if self._progress is None or self._progress.done():
            self._progress = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._progress)

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[Engine]:
        """The engine for as long as the block, with no other inference beside."""
        async with self._lock:
            yield self.engine

    def close(self) -> None:
        """End the thread and give the engine's memory back."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        self.engine.close()
