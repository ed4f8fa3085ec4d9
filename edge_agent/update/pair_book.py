"""What candidates counted in the shadow, added up over their lives and divided into blocks of time; plain values only."""

from collections import Counter

from contract.pairs import (
    BLOCKS_PER_SHADOW,
    Disagreement,
    PairedBlock,
    PairedResult,
    empty_latency,
    empty_score_difference,
    list_disagreements,
)
from contract.sketches import merge
from edge_agent.worker.messages import Paired

_NOTHING = Paired(0, 0, (), 0, 0, empty_latency(), empty_latency(), empty_score_difference())


class PairBook:
    """The pairs of one update."""

    def __init__(self, shadow_s: float) -> None:
        self._block_s = shadow_s / BLOCKS_PER_SHADOW
        self._before = self._life = _NOTHING
        self._blocks: list[PairedBlock] = []
        self.paused_s = 0.0

    @property
    def last_error(self) -> str:
        """Why the candidate had no answer, the last time."""
        return self._life.last_error or self._before.last_error

    def take(self, counted: Paired, elapsed_s: float) -> None:
        """What a candidate counted since its start; it belongs to the block of `elapsed_s`."""
        block = self._block(int(elapsed_s / self._block_s))
        pairs, disagreements = counted.pairs - self._life.pairs, counted.disagreements - self._life.disagreements
        self._blocks[-1] = PairedBlock(block.pairs + pairs, block.disagreements + disagreements)
        self._life = counted

    def _block(self, index: int) -> PairedBlock:
        while len(self._blocks) <= index:
            self._blocks.append(PairedBlock(0, 0))
        return self._blocks[-1]

    def end_life(self) -> None:
        """The candidate ended; another may begin at zero."""
        self._before, self._life = _add(self._before, self._life), _NOTHING

    def result(self) -> PairedResult:
        """All lives together."""
        total = _add(self._before, self._life)
        return PairedResult(
            pairs=total.pairs,
            disagreements=total.disagreements,
            disagreed=total.disagreed,
            errors=total.errors,
            dropped=total.dropped,
            current_latency_us=total.current_latency_us,
            candidate_latency_us=total.candidate_latency_us,
            score_difference=total.score_difference,
            block_s=self._block_s,
            blocks=tuple(self._blocks),
            paused_s=self.paused_s,
        )


def _add(first: Paired, second: Paired) -> Paired:
    return Paired(
        pairs=first.pairs + second.pairs,
        disagreements=first.disagreements + second.disagreements,
        disagreed=_add_changes(first.disagreed, second.disagreed),
        errors=first.errors + second.errors,
        dropped=first.dropped + second.dropped,
        current_latency_us=merge(first.current_latency_us, second.current_latency_us),
        candidate_latency_us=merge(first.candidate_latency_us, second.candidate_latency_us),
        score_difference=merge(first.score_difference, second.score_difference),
        last_error=second.last_error or first.last_error,
    )


def _add_changes(first: tuple[Disagreement, ...], second: tuple[Disagreement, ...]) -> tuple[Disagreement, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for found in (*first, *second):
        counts[found.current, found.candidate] += found.count
    return list_disagreements(Disagreement(*change, count) for change, count in counts.items())
