"""Work that is due every so often."""

import asyncio
import logging
from collections.abc import Callable

LOOK_S = 1.0

log = logging.getLogger(__name__)


def every(interval_s: Callable[[], float], act: Callable[[], None], name: str) -> "asyncio.Task[None]":
    """A named task that calls `act` each `interval_s()` seconds; an error is logged and does not end it.

    An interval that becomes shorter counts a second later, not after the longer one has passed.
    """

    async def run() -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(max(0.0, min(LOOK_S, last + interval_s() - loop.time())))
            if loop.time() - last < interval_s():
                continue
            last = loop.time()
            try:
                act()
            except Exception:
                log.exception("%s failed", name)

    return asyncio.create_task(run(), name=name)
