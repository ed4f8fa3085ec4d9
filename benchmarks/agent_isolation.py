"""What it costs that a frame comes from another process: through a slot into a real worker, against a source in the worker itself.

A live source captures on a thread. It writes each frame anew, into a buffer of its own where the source is
opened in the worker (`from a thread`), into a slot where it is opened in the capture process, which this
process plays. Time runs from the moment at which the frame is written to the moment at which the sink has
the answer of the same application with the same model; writing it is told apart. The ways take turns in
blocks. Frames come one after the other, or 100 a second: then processors fall asleep between frames.
`handed over` is the application without any thread or process between.
Run: `python benchmarks/agent_isolation.py [FRAMES]`
"""

import asyncio
import contextlib
import json
import os
import queue
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.report import at_most, print_claims, print_rows, say_machine
from benchmarks.small_models import VARIANT, make_package, make_sample
from contract.application import Application, Sink, Source
from contract.package import Package
from edge_agent.engine.engine import open_engine
from edge_agent.frames.doorbell import make_pair, open_doorbell
from edge_agent.frames.giving import FrameGiver
from edge_agent.sinks.callback import register_callback
from edge_agent.sinks.sink import Record
from edge_agent.sources.live import Mailbox
from edge_agent.sources.source import Item, SourceSample
from edge_agent.worker.application_loop import ApplicationLoop
from edge_agent.worker.inference import Inference
from edge_agent.worker.messages import WorkerRequest
from edge_agent.worker.spawning import start_worker
from edge_agent.worker.windows import WindowRecorder

PER_S = 100
BLOCK = 25
WARM_UP = 5  # of each block
HANDED_OVER, FROM_A_THREAD = "in process, handed over", "in process, from a thread"
HOOK = """
import os, time
pipe = os.open({pipe!r}, os.O_WRONLY)
def note(record):
    now_ns = time.monotonic_ns()
    os.write(pipe, f"{{now_ns}} {{record.latency_ms}}\\n".encode())
"""


class Moment(NamedTuple):
    """One frame, in nanoseconds of the monotonic clock: when its source had it, when it lay in its slot, when the sink had its answer."""

    begun_ns: int
    copied_ns: int
    answered_ns: int
    latency_ms: float  # of the engine alone


class LocalLoop(ApplicationLoop):
    """The application loop with a source that this process feeds: from its own event loop, or from a thread as live sources do."""

    live_slots = 0
    box: Mailbox

    async def _open_source(self, stack: AsyncExitStack, data_folder: Path) -> "LocalLoop":
        del stack, data_folder
        self.box = Mailbox("bench", 1, asyncio.get_running_loop())
        return self

    async def items(self) -> AsyncGenerator[Item, None]:
        """What is put into the box."""
        while (found := await self.box.take()) is not None:
            for item in found:
                yield item


class Bench:
    """Both ways, side by side."""

    def __init__(self, folder: Path, package: Package, *, plain: bool) -> None:
        self._folder, self._package = folder, package
        self._sample = make_sample("cnn")
        self._way = "through a stream" if plain else "through slots"
        self._giver = FrameGiver(1, plain=plain)
        self._ours, self._theirs = make_pair(plain=plain)
        self._local_answer: asyncio.Future[tuple[int, float]] | None = None

    def _document(self, hook: str) -> Application:
        return Application(1, "bench", 1, "cnn", Source("folder", {"path": "."}), (Sink("callback", {"name": hook}),))

    async def measure(self, frames: int) -> dict[tuple[str, str], list[Moment]]:
        """Every frame both ways."""
        pipe = self._folder / "answers"
        os.mkfifo(pipe)
        (self._folder / "hooks").mkdir()
        (self._folder / "hooks" / "isolation_hook.py").write_text(HOOK.format(pipe=str(pipe)))
        (self._folder / "config.json").write_text(json.dumps({"callbacks": {"note": "isolation_hook:note"}}))
        request = WorkerRequest(
            str(self._package.folder),
            self._package.digest,
            VARIANT,
            application=self._document("note"),
            frames=self._theirs.fileno(),
            data_folder=str(self._folder),
        )
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        worker = await start_worker(request, print)
        self._theirs.close()
        self._giver.join(lambda on_message, on_end: open_doorbell(self._ours, on_message, on_end))
        answers = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), os.fdopen(reading, "rb"))
        await worker.wait_ready(30)
        try:
            return await self._take_turns(answers, frames)
        finally:
            await worker.stop()

    async def _take_turns(self, answers: asyncio.StreamReader, frames: int) -> dict[tuple[str, str], list[Moment]]:
        found: dict[tuple[str, str], list[Moment]] = {}
        register_callback("local", self._note)
        thread = Thread()
        with open_engine(self._package, VARIANT) as engine, contextlib.closing(thread):
            inference = Inference(engine, WindowRecorder(self._package.manifest.labels, None, 0.0), latency_us=500, queue_length=8)
            loop = LocalLoop(self._document("local"), inference, self._package.manifest, VARIANT)
            running = asyncio.create_task(loop.run(self._folder, print))
            await asyncio.sleep(0.2)
            ways: dict[str, Callable[[int], Awaitable[Moment]]] = {
                HANDED_OVER: lambda number: self._ask_here(loop, number, lambda work: work()),
                FROM_A_THREAD: lambda number: self._ask_here(loop, number, thread.do),
                self._way: lambda number: self._ask_worker(answers, number, thread.do),
            }
            for pace in ("one after the other", f"{PER_S} a second"):
                for _ in range(-(-frames // BLOCK)):
                    for way, ask in ways.items():
                        found.setdefault((pace, way), []).extend(await _ask_block(ask, 0.0 if pace.startswith("one") else 1 / PER_S))
            running.cancel()
            await asyncio.wait([running])
        return found

    async def _ask_here(self, loop: LocalLoop, number: int, do: Callable[[Callable[[], None]], None]) -> Moment:
        self._local_answer = asyncio.get_running_loop().create_future()
        moments: list[int] = []

        def put() -> None:
            moments.append(time.monotonic_ns())
            frame = {name: array.copy() for name, array in self._sample.items()}
            moments.append(time.monotonic_ns())
            loop.box.put(f"f:{number}", frame)

        do(put)
        answered_ns, latency_ms = await self._local_answer
        return Moment(moments[0], moments[1], answered_ns, latency_ms)

    def _note(self, record: Record) -> None:
        if self._local_answer is not None:
            self._local_answer.set_result((time.monotonic_ns(), record.latency_ms))

    async def _ask_worker(self, answers: asyncio.StreamReader, number: int, do: Callable[[Callable[[], None]], None]) -> Moment:
        (reader,) = self._giver._readers  # noqa: SLF001  (when it is free, and when the copy was done)
        while not reader.wants:  # noqa: ASYNC110  (a benchmark may spin)
            await asyncio.sleep(0)
        moments: list[int] = []

        def take() -> None:
            moments.append(time.monotonic_ns())
            with self._giver._lock:  # noqa: SLF001  (so that the frame is not given back before it is looked at)
                self._giver.take(SourceSample(f"f:{number}", self._sample))
                moments.extend(one.held.frame.captured_ns for one in (reader,) if one.held is not None)

        do(take)
        answered_ns, latency_ms = (await answers.readline()).split()
        while len(moments) < 2:  # noqa: ASYNC110  (the thread may be a moment behind)
            await asyncio.sleep(0)
        return Moment(moments[0], moments[1], int(answered_ns), float(latency_ms))


class Thread:
    """A source's thread: does what it is given."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def do(self, work: Callable[[], None]) -> None:
        """Soon, on the thread."""
        self._work.put(work)

    def close(self) -> None:
        """End, after what was given."""
        self._work.put(None)
        self._thread.join()


async def _ask_block(ask: Callable[[int], Awaitable[Moment]], pause_s: float) -> list[Moment]:
    moments = []
    for number in range(BLOCK):
        await asyncio.sleep(pause_s)
        moments.append(await ask(number))
    return moments[WARM_UP:]


def _row(pace: str, way: str, moments: list[Moment], base_us: float) -> tuple[str, ...]:
    answered = np.array([moment.answered_ns - moment.copied_ns for moment in moments]) / 1000
    copied = np.array([moment.copied_ns - moment.begun_ns for moment in moments]) / 1000
    engine = np.array([1000 * moment.latency_ms for moment in moments])
    middle = float(np.median(answered))
    tail = f"{np.quantile(answered, 0.95):.0f}"
    return (
        *(pace, way, f"{np.median(engine):.0f}", f"{np.median(copied):.0f}", f"{middle:.0f}", tail),
        f"{middle - base_us:+.0f}",
        f"{middle / base_us:.3f}",
    )


def main(frames: int) -> None:
    """Print one table."""
    say_machine(f"{frames} frames of 640 x 480 each way; the claim: through slots, one after the other, at most 60 µs per frame")
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as folder:
        package = make_package(Path(folder) / "cnn", "cnn")
        for name, plain in (("slots", False), ("stream", True)):
            home = Path(folder) / name
            home.mkdir()
            found = asyncio.run(_measure(home, package, frames, plain=plain))
            for (pace, way), moments in found.items():
                base = found[pace, FROM_A_THREAD]
                base_us = float(np.median([moment.answered_ns - moment.copied_ns for moment in base])) / 1000
                if plain and way == HANDED_OVER:
                    continue
                rows.append(_row(pace, way, moments, base_us))
                if (pace, way) == ("one after the other", "through slots"):
                    middle = float(np.median([moment.answered_ns - moment.copied_ns for moment in moments])) / 1000
                    claims.append(
                        at_most(
                            "a frame through a slot, beyond the same from a thread in the worker", middle - base_us, 60, "µs", rows[-1][-1]
                        )
                    )
    head = ("frames", "way", "engine µs", "writing µs", "source to sink p50 µs", "p95 µs", "isolation µs", "ratio")
    print_rows("cost of isolation per frame", head, rows)
    print_claims(claims)


async def _measure(folder: Path, package: Package, frames: int, *, plain: bool) -> dict[tuple[str, str], list[Moment]]:
    return await Bench(folder, package, plain=plain).measure(frames)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
