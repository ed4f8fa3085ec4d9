"""Which samples are worth keeping: pure rules, the same answer for the same sample each time."""

import hashlib
from collections import deque

from contract.application import CapturePolicy

LOW_SCORE, RANDOM, DISAGREEMENT = "low score", "random", "disagreement"
HOUR_S = 3600.0


def reason_to_keep(policy: CapturePolicy, score: float, key: str) -> str:
    """`low score`, `random`, or empty; `key` names application and sample."""
    if score < policy.below_score:
        return LOW_SCORE
    if policy.random_share > 0 and draw(policy.seed, key) < policy.random_share:
        return RANDOM
    return ""


def draw(seed: int, key: str) -> float:
    """A number in [0, 1), evenly spread over keys, always the same for one seed and key."""
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2.0**64


class HourlyLimit:
    """At most so many within any hour on the monotonic clock: flash wears out."""

    def __init__(self, per_hour: int) -> None:
        self._taken_s: deque[float] = deque(maxlen=per_hour)

    def allows(self, now_s: float) -> bool:
        """Whether one more may be taken at `now_s`, which is then noted."""
        taken_s = self._taken_s
        if not taken_s.maxlen or (len(taken_s) == taken_s.maxlen and now_s - taken_s[0] < HOUR_S):
            return False
        taken_s.append(now_s)
        return True
