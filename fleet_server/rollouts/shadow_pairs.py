"""What the shadow runs of a rollout say together: disagreement on the samples of these devices, never accuracy.

The unit is a block of time on a device: samples that follow each other are alike. The interval is that of a
ratio over such blocks (each block's pairs and disagreements count together), so it speaks of these devices.
"""

import math
from collections import Counter
from collections.abc import Sequence

from contract.pairs import Disagreement, PairedBlock, PairedResult, describe_pairs, list_disagreements
from contract.rest import PairedView
from fleet_server.rollouts.comparison import student_quantile
from fleet_server.words import counted

BLOCKS_LEAST = 10
"""With fewer blocks that hold a pair nothing is said of how sure the share is."""


def summarize(results: Sequence[PairedResult]) -> PairedView | None:
    """All devices together; None where no device said anything."""
    if not results:
        return None
    ran = [result for result in results if not result.skipped]
    total = PairedResult(
        pairs=sum(result.pairs for result in ran),
        disagreements=sum(result.disagreements for result in ran),
        disagreed=_merged(ran),
        errors=sum(result.errors for result in ran),
        dropped=sum(result.dropped for result in ran),
    )
    low, high = _interval([block for result in ran for block in result.blocks if block.pairs > 0])
    return PairedView(
        devices=len(ran),
        skipped=len(results) - len(ran),
        pairs=total.pairs,
        disagreements=total.disagreements,
        low=low,
        high=high,
        text=_text(results, ran, total, (low, high)),
    )


def _merged(results: Sequence[PairedResult]) -> tuple[Disagreement, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for result in results:
        for found in result.disagreed:
            counts[found.current, found.candidate] += found.count
    return list_disagreements(Disagreement(*change, count) for change, count in counts.items())


def _interval(blocks: Sequence[PairedBlock]) -> tuple[float | None, float | None]:
    """95 % for the share, from the spread between blocks."""
    count, pairs = len(blocks), sum(block.pairs for block in blocks)
    if count < BLOCKS_LEAST:
        return None, None
    share = sum(block.disagreements for block in blocks) / pairs
    squares = math.fsum((block.disagreements - share * block.pairs) ** 2 for block in blocks)
    half_width = student_quantile(count - 1) * math.sqrt(count / (count - 1) * squares) / pairs
    return max(0.0, share - half_width), min(1.0, share + half_width)


def _text(
    results: Sequence[PairedResult], ran: Sequence[PairedResult], total: PairedResult, interval: tuple[float | None, float | None]
) -> str:
    if not ran:
        reasons = Counter(result.skipped for result in results)
        return f"no shadow run on {counted(len(results), 'device')}: {reasons.most_common(1)[0][0]}"
    low, high = interval
    sure = f" (95 %: {100 * low:.1f} to {100 * high:.1f} %)" if low is not None and high is not None else ""
    skipped = f"; none on {counted(len(results) - len(ran), 'device')}" if len(ran) < len(results) else ""
    return f"in the shadow on {counted(len(ran), 'device')}: {describe_pairs(total)}{sure}{skipped}"
