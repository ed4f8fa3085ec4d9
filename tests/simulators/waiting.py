"""Waiting in tests: poll with a deadline, never sleep and hope."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], timeout_s: float = 10.0, explain: Callable[[], str] = lambda: "") -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s in vain. {explain()}")
        time.sleep(0.02)
