"""When predictions become an event: pure rules on the monotonic clock."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from contract.application import Rule


class Firing(NamedTuple):
    """A rule that fired: how often it was met within how long."""

    rule: Rule
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    within_s: float

    @property
    def text(self) -> str:
        """The firing in words."""
        what = self.rule.label or "any label"
        return f"{what} at {self.rule.minimum_score:g} or more, {self.count} times within {self.within_s:.1f} s"


class RuleState:
    """One rule and when it was met lately. After it fires it starts over."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._met: deque[float] = deque(maxlen=rule.count)

    def take(self, label: str, score: float, now_s: float) -> Firing | None:
        """Consider one accepted prediction at `now_s` (monotonic)."""
        rule = self._rule
        if (rule.label and rule.label != label) or score < rule.minimum_score:
            return None
        self._met.append(now_s)
        if rule.within_s:
            while now_s - self._met[0] > rule.within_s:
                self._met.popleft()
        if len(self._met) < rule.count:
            return None
        firing = Firing(rule, rule.count, now_s - self._met[0])
        self._met.clear()
        return firing


def take_all(states: Sequence[RuleState], label: str, score: float, now_s: float) -> list[Firing]:
    """Every rule that fires on this prediction."""
    return [firing for state in states if (firing := state.take(label, score, now_s)) is not None]
