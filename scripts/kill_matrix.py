"""The kill matrix of the agent's updates: `python -m scripts.kill_matrix`, or `make kill-matrix`.

Every update state × {error, SIGKILL, hang, disk full, power cut}: simulated faults at the operations
of a disk, and SIGKILLs of a real agent process. Prints a table; each cell is the number of cases and
`ok`, or how many failed. The exit status is 1 where any did.
"""

import argparse
import itertools
import logging
import multiprocessing
import multiprocessing.pool
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.simulators.kill_cases import ROWS, SCENARIOS, Case, Fault, Template, make_template, plan_cases, run_case
from tests.simulators.kill_process import KillSite

CUTS, KILLS = 10_000, 200
SITES = 3
"""Real agents that are killed side by side: each waits most of the time."""
REAL_KILLS = "SIGKILL (real)"
COLUMNS = (*(fault.value for fault in Fault), REAL_KILLS)
MEMORY_DISK = Path("/dev/shm")  # noqa: S108  (faster where there is one; the folder in it is private)
_SHOWN = 20
_TELL_EVERY = 25


class Outcome(NamedTuple):
    """A case as a line of the result."""

    row: str
    column: str
    what: str
    wrong: tuple[str, ...]


def scratch_folder() -> Path:
    """A new private folder, in memory where the system has such a place."""
    return Path(tempfile.mkdtemp(prefix="kill-matrix-", dir=MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None))


def make_templates() -> dict[str, Template]:
    """The scenarios, each tried once without a fault."""
    folder = scratch_folder()
    try:
        return {name: make_template(scenario, folder / name) for name, scenario in SCENARIOS.items()}
    finally:
        shutil.rmtree(folder)


def run_cases(templates: dict[str, Template], cases: list[Case]) -> list[Outcome]:
    """Run simulated cases, one after the other, in one process."""
    logging.disable(logging.CRITICAL)
    folder, outcomes = scratch_folder(), []
    try:
        for case in cases:
            row, wrong = run_case(templates[case.scenario], case, folder / "home")
            outcomes.append(Outcome(row or case.state, case.fault.value, str(case), tuple(wrong)))
    finally:
        shutil.rmtree(folder)
    return outcomes


def run_part(part: tuple[int, int, int, int, int]) -> list[Outcome]:
    """Every `parts`-th case of the plan: what one of several processes does."""
    index, parts, cuts, every, seed = part
    templates = make_templates()
    return run_cases(templates, list(itertools.islice(plan_cases(templates, cuts=cuts, every=every, seed=seed), index, None, parts)))


def run_kills(count: int, seed: int) -> Iterator[Outcome]:
    """SIGKILL a real agent `count` times."""
    folder, done = Path(tempfile.mkdtemp(prefix="kill-matrix-")), 0
    try:
        with KillSite(folder, seed) as site:
            while done < count:
                for kill in site.kill_in_one_update():
                    done += 1
                    yield Outcome(kill.row, REAL_KILLS, f"kill {done} of {count}, seed {seed}, back after {kill.away_s:.1f} s", kill.wrong)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def collect_kills(part: tuple[int, int]) -> list[Outcome]:
    """`run_kills` as a list, in a process of its own; tells how far it is and at once, in full, what failed."""
    logging.disable(logging.CRITICAL)
    outcomes = []
    for outcome in run_kills(*part):
        outcomes.append(outcome)
        if outcome.wrong:
            tell("\n".join((f"FAILED in {outcome.row}: {outcome.what}:", *outcome.wrong)))
        elif len(outcomes) % _TELL_EVERY == 0:
            tell(outcome.what)
    return outcomes


def tell(text: str) -> None:
    """Write to stderr, in one piece, for several processes write there."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def build_table(outcomes: list[Outcome]) -> str:
    """Rows are states, columns are faults; a cell is `cases ok` or `failed of cases FAILED`."""
    total = Counter((outcome.row, outcome.column) for outcome in outcomes)
    failed = Counter((outcome.row, outcome.column) for outcome in outcomes if outcome.wrong)

    def cell(row: str, column: str) -> str:
        count, bad = total[row, column], failed[row, column]
        return "–" if not count else f"{bad} of {count} FAILED" if bad else f"{count} ok"

    lines = [["state", *COLUMNS], ["---", *("---:" for _ in COLUMNS)]]
    lines += [[row, *(cell(row, column) for column in COLUMNS)] for row in ROWS]
    sums = [sum(count for (_, found), count in total.items() if found == column) for column in COLUMNS]
    lines.append(["**all**", *(f"{count:,}" for count in sums)])
    widths = [max(len(line[index]) for line in lines) for index in range(len(COLUMNS) + 1)]
    return "\n".join("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in lines)


def run_all(options: argparse.Namespace) -> list[Outcome]:
    """The simulated cases in `jobs` processes, the real kills beside them."""
    context = multiprocessing.get_context("spawn")
    shares = [options.kills // SITES + (index < options.kills % SITES) for index in range(SITES)]
    with context.Pool(options.jobs + SITES) as pool:
        parts = [(index, options.jobs, options.cuts, options.every, options.seed) for index in range(options.jobs)]
        waiting: list[multiprocessing.pool.AsyncResult[list[Outcome]]] = [
            pool.apply_async(collect_kills, ((share, options.seed + index),)) for index, share in enumerate(shares) if share
        ]
        waiting += [pool.apply_async(run_part, (part,)) for part in parts if options.cuts or options.every]
        return [outcome for result in waiting for outcome in result.get()]


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--cuts", type=int, default=CUTS, help=f"simulated power cuts (default {CUTS})")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"SIGKILLs of a real agent (default {KILLS})")
    parser.add_argument("--every", type=int, default=1, help="strike each n-th operation with the other faults (default 1)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="to repeat a run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for the simulated cases")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run, print the table and what failed; 1 where anything did."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    begun = time.monotonic()
    print(f"kill matrix with seed {options.seed}: {options.cuts} power cuts, {options.kills} kills of a real agent …", flush=True)
    outcomes = run_all(options)
    failed = [outcome for outcome in outcomes if outcome.wrong]
    lines = [build_table(outcomes), ""]
    lines += [f"FAILED: {outcome.what}: {outcome.wrong[0]}" for outcome in failed[:_SHOWN]]
    lines.append(f"{len(outcomes):,} cases, {len(failed)} failed, {time.monotonic() - begun:.0f} s, seed {options.seed}")
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
