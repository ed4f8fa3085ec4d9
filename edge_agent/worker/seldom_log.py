"""A log for what may happen with every sample: the same thing once a minute at most, with how often it happened meanwhile."""

import logging
import time
from collections.abc import Callable

SAY_AGAIN_S = 60.0
REASONS_KEPT = 64

log = logging.getLogger(__name__)


class SeldomLog:
    """Says the same thing once a minute at most, with how often it happened meanwhile: a loop must not fill the disk with its log."""

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}
        self._said_s: dict[str, float] = {}

    def tell(self, reason: str, amount: int, text: Callable[[int], str]) -> None:
        """`reason` happened `amount` times more; `text` puts it into words with the number of times."""
        self._waiting[reason] = self._waiting.get(reason, 0) + amount
        now_s = time.monotonic()
        if now_s - self._said_s.get(reason, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return
        if len(self._said_s) >= REASONS_KEPT:
            self._waiting, self._said_s = {reason: self._waiting[reason]}, {}
        self._said_s[reason] = now_s
        log.warning("%s", text(self._waiting.pop(reason)))
