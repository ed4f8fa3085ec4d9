"""What a variant costs on this machine: bytes, and latency through the engine that devices use, with one thread."""

import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from converters.samples import Sample
from edge_agent.engine.engine import Engine

WARM_UP = 10
LEAST_REPEATS = 50
MOST_REPEATS = 2000
MEASURE_S = 0.4


class Latency(NamedTuple):
    """Quantiles over `repeats` inferences, in milliseconds."""

    p50_ms: float
    p95_ms: float
    repeats: int


def measure_latency(engine: Engine, samples: Sequence[Sample]) -> Latency:
    """Time inferences one by one, over the samples in turn, after a warm-up.

    At least 50 repeats, then as many as fit in 0.4 s, at most 2,000.
    """
    turns = itertools.cycle(samples)
    for _ in range(WARM_UP):
        engine.run(next(turns))
    times_ms: list[float] = []
    end = time.monotonic() + MEASURE_S
    while len(times_ms) < LEAST_REPEATS or (time.monotonic() < end and len(times_ms) < MOST_REPEATS):
        sample = next(turns)
        begun = time.perf_counter_ns()
        engine.run(sample)
        times_ms.append((time.perf_counter_ns() - begun) / 1e6)
    return Latency(float(np.quantile(times_ms, 0.5)), float(np.quantile(times_ms, 0.95)), len(times_ms))
