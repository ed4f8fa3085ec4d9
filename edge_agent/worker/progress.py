"""One shared page of memory in which a worker says what it has done, so that its supervisor sees it without asking.

A question over the control channel wakes the worker; a look at the page wakes nobody. Two numbers: how
many inferences are complete, and when the one under way began. The writer's cost is below a microsecond.
"""

import contextlib
import mmap
import os
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_agent.engine.engine import Engine, Prediction, Sample

_COMPLETED, _BEGUN_NS = 0, 1
_NUMBERS = 2
_VARIABLE = "EYELET_PROGRESS_DESCRIPTOR"


class ProgressPage:
    """Both ends use this class; the worker alone writes. `begun_ns` is of `time.monotonic_ns`, 0 where nothing is under way."""

    def __init__(self, descriptor: int) -> None:
        """Map an open descriptor of at least 16 bytes; the descriptor may be closed afterwards.

        Raises:
            OSError, ValueError: it can not be mapped.
        """
        self._memory = mmap.mmap(descriptor, _NUMBERS * 8)
        self._numbers = memoryview(self._memory).cast("Q")

    @property
    def completed(self) -> int:
        """Inferences that came to an end since the worker's start, failed ones included."""
        return self._numbers[_COMPLETED]

    @property
    def begun_ns(self) -> int:
        """When the inference under way began; 0 where there is none."""
        return self._numbers[_BEGUN_NS]

    def watch(self, engine: "Engine") -> None:
        """From now on every `engine.predict` is seen on the page."""
        predict, numbers, now_ns = engine.predict, self._numbers, time.monotonic_ns

        def predict_in_sight(sample: "Sample") -> "Prediction":
            numbers[_BEGUN_NS] = now_ns()
            try:
                return predict(sample)
            finally:
                numbers[_BEGUN_NS] = 0
                numbers[_COMPLETED] += 1

        engine.predict = predict_in_sight  # type: ignore[method-assign]  # whoever calls the engine shall be seen

    def close(self) -> None:
        """Unmap; the page must not be used any more."""
        self._numbers.release()
        self._memory.close()


def make_page() -> tuple[ProgressPage, int] | None:
    """A new page and the descriptor for the worker to inherit; None where the system has no such thing."""
    if os.name != "posix":
        return None
    descriptor = -1
    try:
        descriptor = _open_memory()
        os.ftruncate(descriptor, mmap.PAGESIZE)
        return ProgressPage(descriptor), descriptor
    except (OSError, ValueError):
        if descriptor >= 0:
            os.close(descriptor)
        return None


def _open_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("eyelet-progress")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def environment_for(descriptor: int) -> dict[str, str]:
    """What tells the worker which inherited descriptor the page is."""
    return {_VARIABLE: str(descriptor)}


def open_inherited() -> ProgressPage | None:
    """The worker's end; None where it was given none or it can not be mapped."""
    text = os.environ.pop(_VARIABLE, "")
    with contextlib.suppress(OSError, ValueError):
        page = ProgressPage(int(text))
        os.close(int(text))
        return page
    return None
