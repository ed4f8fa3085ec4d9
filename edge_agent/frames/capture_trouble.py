"""Waits for the end of a capture process, or for the moment when it hangs or its device gives nothing any more.

It is asked once a second, on the socket that brings it its doorbells; its event loop answers for how long the
device of a live source has given nothing. A second in which it did not answer at once is held against
nobody: a process that is starved by others hears and sees late.
"""

import asyncio
import time
from typing import NamedTuple

from edge_agent.frames.process import CaptureProcess
from edge_agent.hang_watch import BUSY_S, HangWatch, look_at

ASK_EVERY_S = 1.0
STILL_S = 5.0
LOADING_S = 60.0
"""Processor time that it may take without an answer to load a library on a slow device, or to read a large file."""
PROMPT_S = 1.0


class Patience(NamedTuple):
    """How long a device may give nothing, and how much processor time the process may take without an answer, once it gave a sample."""

    silent_s: float
    busy_s: float = BUSY_S


class Trouble(NamedTuple):
    """Why a capture process is replaced, since when (`time.monotonic`), and whether it still hears."""

    text: str
    since_s: float
    hears: bool


class SilenceWatch:
    """Judges what a process says of its device, answer by answer."""

    def __init__(self, patience_s: float, begun_s: float) -> None:
        self._patience_s = patience_s
        self._last_s = begun_s
        self._said_s = self._counted_s = 0.0

    def is_over(self, at_s: float, silent_s: float, took_s: float) -> bool:
        """Whether the patience is, with an answer that came at `at_s` after `took_s`: the device has given nothing for `silent_s`."""
        passed_s = min(at_s - self._last_s, 2 * ASK_EVERY_S) if took_s < PROMPT_S else 0.0
        self._counted_s = self._counted_s + passed_s if silent_s > self._said_s else 0.0
        self._last_s, self._said_s = at_s, silent_s
        return min(self._counted_s, silent_s) >= self._patience_s


async def wait_for_trouble(process: CaptureProcess, end: "asyncio.Future[int]", patience: Patience) -> Trouble | None:
    """Until it ends (None) or is in trouble. A source that came to its end has nothing left to hang in, and is left alone."""
    heard_s = time.monotonic()
    silence = SilenceWatch(patience.silent_s, heard_s)
    while True:
        await asyncio.wait([end], timeout=None if process.is_over else ASK_EVERY_S)
        if end.done():
            return None
        asked_s = time.monotonic()
        answer = process.ask()
        cause = await _wait_for_answer(process, answer, end, patience.busy_s if process.has_given else LOADING_S)
        if end.done():
            return None
        if cause:
            return Trouble(cause, heard_s, hears=False)
        heard_s = time.monotonic()
        if silence.is_over(heard_s, answer.result(), heard_s - asked_s):
            return Trouble(f"has given nothing for {answer.result():.0f} s", heard_s - answer.result(), hears=True)


async def _wait_for_answer(process: CaptureProcess, answer: "asyncio.Future[float]", end: "asyncio.Future[int]", busy_s: float) -> str:
    """Why it hangs; "" where it answered or ended."""
    await asyncio.wait((answer, end), timeout=PROMPT_S / 2, return_when=asyncio.FIRST_COMPLETED)
    asked = None if answer.done() or end.done() else look_at(process.pid)
    if asked is None:
        await asyncio.wait((answer, end), return_when=asyncio.FIRST_COMPLETED)
        return ""
    watch = HangWatch(STILL_S, asked, busy_s)
    while not answer.done() and not end.done():
        await asyncio.wait((answer, end), timeout=watch.step_s, return_when=asyncio.FIRST_COMPLETED)
        look = None if answer.done() else look_at(process.pid)
        if look is not None and (cause := watch.judge(look)):
            return cause
    return ""
