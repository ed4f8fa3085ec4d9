"""What the windows of a rollout's arms say over time; pure functions of what the server sent."""

import datetime
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from contract.codec import parse_time
from contract.rest import WindowView
from contract.sketches import Histogram, merge

BUCKETS = 30
_US_PER_MS = 1000.0


@dataclass(frozen=True)
class ArmSeries:
    """One arm's 95th percentile of the latency over time since the rollout's first window."""

    arm: str
    seconds: tuple[float, ...]
    p95_ms: tuple[float, ...]


def latency_by_arm(windows: Iterable[WindowView]) -> tuple[ArmSeries, ...]:
    """Merge the latency histograms of each arm in equal stretches of time; stretches without windows have no point."""
    timed = [(parse_time(view.window.started_at), view) for view in windows if view.window.count]
    if not timed:
        return ()
    first = min(at for at, _ in timed)
    last = max(at for at, _ in timed)
    width = max((last - first).total_seconds() / BUCKETS, 1.0)
    merged: dict[str, dict[int, Histogram]] = defaultdict(dict)
    for at, view in timed:
        place = min(int((at - first).total_seconds() // width), BUCKETS - 1)
        known = merged[view.window.arm or "treatment"]
        latency = view.window.latency_us
        known[place] = merge(known[place], latency) if place in known else latency
    return tuple(_series(arm, merged[arm], width) for arm in sorted(merged))


def _series(arm: str, places: dict[int, Histogram], width: float) -> ArmSeries:
    ordered = sorted(places)
    return ArmSeries(
        arm=arm,
        seconds=tuple((place + 0.5) * width for place in ordered),
        p95_ms=tuple((places[place].quantile(0.95) or 0.0) / _US_PER_MS for place in ordered),
    )


def seconds_since(iso: str, now: datetime.datetime | None = None) -> float | None:
    """How long ago a time was; None where it is none."""
    if not iso:
        return None
    moment = now or datetime.datetime.now(tz=datetime.timezone.utc)
    return (moment - parse_time(iso)).total_seconds()
