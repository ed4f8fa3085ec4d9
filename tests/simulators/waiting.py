"""Waiting in tests: poll with a deadline, never sleep and hope."""

import time
from collections.abc import Callable

PROMPT_S = 8.0
"""What happens at once may take so long where every core is busy with other tests; what does not happen takes far longer, or for ever."""


def wait_until(condition: Callable[[], object], timeout_s: float = 30.0, explain: Callable[[], str] = lambda: "") -> None:
    """Poll with a deadline; what takes long is asked for less often."""
    begun = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - begun
        if waited_s > timeout_s:
            raise AssertionError(f"waited {timeout_s} s in vain. {explain()}")
        time.sleep(min(0.1, 0.02 + waited_s / 20))
