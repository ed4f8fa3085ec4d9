"""When to say that the device of a live source gives nothing, though it is open and reports no error (its driver stalls).

For a source that is opened in the worker itself; where a capture process has it, that is replaced
(`edge_agent.frames.capture_trouble`). A thread in a driver can not be ended, so words are all there is here.
"""

from typing import NamedTuple

LOOK_EVERY_S = 1.0
PROMPT_S = 1.0
"""A look that comes later than this counts for nothing: a program that is starved by others sees late."""
LAST_S, MEMORY_S = 640.0, 600.0
HOPELESS = 7.0
"""After so many times its first patience a source that has never given a sample has failed."""


class Told(NamedTuple):
    """What is to be said. `failed`: it has never given a sample, for long."""

    text: str
    failed: bool


class Silence:
    """Judges a device look by look: says once that it gives nothing, and has twice the patience with it from then on."""

    def __init__(self, name: str, patience_s: float, now_s: float) -> None:
        """`patience_s`: how long it may give nothing at first."""
        self._name = name
        self._first_s = self._patience_s = patience_s
        self._looked_s, self._told_s = now_s, now_s
        self._seen_s = self._counted_s = 0.0
        self._is_told = self._is_given_up = False

    @property
    def look_every_s(self) -> float:
        """How often to look."""
        return min(LOOK_EVERY_S, self._first_s / 10)

    def look(self, now_s: float, silent_s: float, *, has_given: bool) -> Told | None:
        """With the seconds for which the device has given nothing; 0 between two tries to open it."""
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        goes_on, self._seen_s = silent_s > self._seen_s, silent_s
        if not goes_on:
            self._counted_s, self._is_told = 0.0, False
            return None
        self._counted_s += passed_s if passed_s <= self.look_every_s + PROMPT_S else 0.0
        sure_s = min(self._counted_s, silent_s)
        if not self._is_told and sure_s >= self._patience_s:
            self._is_told = True
            is_known = now_s - self._told_s < MEMORY_S
            self._patience_s, self._told_s = min(LAST_S, 2 * self._patience_s) if is_known else self._first_s, now_s
            return Told(
                f"{self._name} has given nothing for {silent_s:.0f} s, and no error either; see whether it is plugged in and works", False
            )
        if not has_given and not self._is_given_up and sure_s >= HOPELESS * self._first_s:
            self._is_given_up = True
            return Told(f"{self._name} has given nothing for {silent_s:.0f} s, and never a sample", True)
        return None
