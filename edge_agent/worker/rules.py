"""When predictions become an event: pure rules on the monotonic clock."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from contract.application import Rule
from edge_agent.engine.engine import Prediction


class Firing(NamedTuple):
    """A rule that fired: how often it was met within how long."""

    rule: Rule
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody needs here
    within_s: float

    @property
    def text(self) -> str:
        """The firing in words."""
        what = self.rule.label or "any label"
        how = f"for {self.within_s:.1f} s" if self.rule.hold_s else f"{self.count} times within {self.within_s:.1f} s"
        return f"{what} at {self.rule.minimum_score:g} or more, {how}"


class RuleState:
    """One rule and when it was met lately. After it fires it starts over."""

    def __init__(self, rule: Rule, labels: Sequence[str]) -> None:
        """`labels` are the model's, in the order of its scores.

        Raises:
            ValueError: the rule's label is none of them.
        """
        self._rule = rule
        self._index = labels.index(rule.label) if rule.label else None
        self._met: deque[float] = deque(maxlen=rule.count)
        self._since_s: float | None = None
        self._last_s = 0.0
        self._silent_until_s = float("-inf")
        self._latched = False

    def take(self, prediction: Prediction, now_s: float) -> Firing | None:
        """Consider one prediction at `now_s` (monotonic), accepted or not."""
        own_score = prediction.score if self._index is None else float(prediction.scores[self._index])
        if own_score < self._rule.release_score:
            self._latched = False
        if not self._is_met(prediction):
            if self._rule.hold_s:
                self._start_over()
            return None
        if self._latched or now_s < self._silent_until_s:
            return None
        self._note(now_s)
        return self._fire(now_s) if self._is_enough(now_s) else None

    def _is_met(self, prediction: Prediction) -> bool:
        right_label = self._index is None or prediction.index == self._index
        return prediction.accepted and right_label and prediction.score >= self._rule.minimum_score

    def _note(self, now_s: float) -> None:
        rule = self._rule
        if self._since_s is None or (rule.hold_s and now_s - self._last_s > rule.hold_s):  # nothing was seen for too long
            self._met.clear()
            self._since_s = now_s
        self._last_s = now_s
        self._met.append(now_s)
        while rule.within_s and now_s - self._met[0] > rule.within_s:
            self._met.popleft()

    def _is_enough(self, now_s: float) -> bool:
        held_s = now_s - (now_s if self._since_s is None else self._since_s)
        return len(self._met) >= self._rule.count and held_s >= self._rule.hold_s

    def _fire(self, now_s: float) -> Firing:
        begun_s = self._since_s if self._rule.hold_s and self._since_s is not None else self._met[0]
        firing = Firing(self._rule, self._rule.count, now_s - begun_s)
        self._start_over()
        self._silent_until_s = now_s + self._rule.cool_down_s
        self._latched = self._rule.release_score > 0
        return firing

    def _start_over(self) -> None:
        self._met.clear()
        self._since_s = None


def take_all(states: Sequence[RuleState], prediction: Prediction, now_s: float) -> list[Firing]:
    """Every rule that fires on this prediction."""
    return [firing for state in states if (firing := state.take(prediction, now_s)) is not None]
