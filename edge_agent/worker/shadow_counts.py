"""What a candidate in the shadow counts: pairs, changes of label, both latencies, differences of score."""

import math
from collections import Counter

from contract.pairs import Disagreement, empty_latency, empty_score_difference, list_disagreements
from edge_agent.engine.engine import Prediction
from edge_agent.worker.messages import Paired
from edge_agent.worker.shadow_frames import PairHead

CHANGES_MAX = 1024
"""So many different changes of label are counted apart; a model with many labels has more."""


class ShadowCounts:
    """Since the candidate's start; every number only rises."""

    def __init__(self) -> None:
        self.pairs = self.disagreements = self.errors = self.dropped = 0
        self._last_error = ""
        self._changes: Counter[tuple[str, str]] = Counter()
        self._current_latency, self._candidate_latency = empty_latency(), empty_latency()
        self._score_difference = empty_score_difference()

    @property
    def seen(self) -> int:
        """Samples that came."""
        return self.pairs + self.errors

    def record(self, served: PairHead, candidate: Prediction) -> bool:
        """Count a pair; returns whether the two disagree. An answer whose score is no number counts as none."""
        if not math.isfinite(candidate.score):
            self.record_error(served, "the score is no number")
            return False
        self.pairs += 1
        self.dropped = served.dropped
        self._current_latency.add(served.latency_us)
        self._candidate_latency.add(candidate.latency_us)
        if math.isfinite(served.score):
            self._score_difference.add(candidate.score - served.score)
        differs = served.label != candidate.label
        if differs:
            self.disagreements += 1
            change = (served.label, candidate.label)
            if change in self._changes or len(self._changes) < CHANGES_MAX:
                self._changes[change] += 1
        return differs

    def record_error(self, served: PairHead, why: str) -> None:
        """Count a sample to which the candidate has no answer."""
        self.errors += 1
        self.dropped = served.dropped
        self._last_error = why[:300]

    def message(self) -> Paired:
        """What was counted so far."""
        return Paired(
            pairs=self.pairs,
            disagreements=self.disagreements,
            disagreed=list_disagreements(Disagreement(*change, count) for change, count in self._changes.items()),
            errors=self.errors,
            dropped=self.dropped,
            current_latency_us=self._current_latency,
            candidate_latency_us=self._candidate_latency,
            score_difference=self._score_difference,
            last_error=self._last_error,
        )
