"""Timing that compares two things in the same run: they take turns, so that a busy machine slows both."""

import time
from collections.abc import Callable, Mapping

import numpy as np

BLOCK, WARM_UP = 25, 3


def compare(works: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 20) -> dict[str, np.ndarray]:
    """Microseconds of each work, `rounds` times in turn."""
    for work in works.values():
        for _ in range(warm_up):
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = time.perf_counter_ns()
            work()
            times[name].append((time.perf_counter_ns() - begun) / 1000)
    return {name: np.array(values) for name, values in times.items()}


def compare_blocks(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """Microseconds of each work as a loop: `rounds` blocks each, the first calls of a block not counted, in another order each round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            work, found = works[name], times[name]
            for index in range(BLOCK + WARM_UP):
                begun = time.perf_counter_ns()
                work()
                if index >= WARM_UP:
                    found.append((time.perf_counter_ns() - begun) / 1000)
    return {name: np.array(values) for name, values in times.items()}


def print_table(title: str, times: Mapping[str, np.ndarray], base: str) -> None:
    """One line per work: median, 95th percentile, ratio of the medians to `base`."""
    reference = float(np.median(times[base]))
    print(f"\n{title}")
    print(f"| {'':<34} | {'p50 µs':>9} | {'p95 µs':>9} | {'ratio':>6} |")
    print(f"|{'-' * 36}|{'-' * 11}|{'-' * 11}|{'-' * 8}|")
    for name, values in times.items():
        middle = float(np.median(values))
        print(f"| {name:<34} | {middle:>9.1f} | {float(np.percentile(values, 95)):>9.1f} | {middle / reference:>6.3f} |")
