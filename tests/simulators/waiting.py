"""Waiting in tests: poll with a deadline, never sleep and hope."""

import time
from collections.abc import Callable

PROMPT_S = 8.0
"""What happens at once may take so long where every core is busy with other tests; what does not happen takes far longer, or for ever."""


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0, explain: Callable[[], str] = lambda: "") -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain. {explain()}")
        time.sleep(0.02)
