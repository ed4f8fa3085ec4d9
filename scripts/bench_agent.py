"""All benchmarks of the agent in one go, and a table of all claims: `python -m scripts.bench_agent`, or `make bench-agent`.

Each script prints its own tables. A claim that does not hold is said, and the next script runs; a script that
breaks or takes too long is said, too. The exit status is 1 only where a script broke: a number that is not
reached is a result. What was measured belongs to this machine and this moment.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.report import CLAIMS_VARIABLE, Claim, held_words, print_rows, say_machine

ROOT = Path(__file__).resolve().parent.parent
SCRIPT_TIMEOUT_S = 240.0
INSTALL_TIMEOUT_S = 900.0
"""For the script that makes environments at its first run."""


class Script(NamedTuple):
    """One row of the table: a file of `benchmarks/` without its ending, its arguments, and how long it may take."""

    name: str
    arguments: tuple[str, ...] = ()
    timeout_s: float = SCRIPT_TIMEOUT_S


SCRIPTS = (
    Script("engine_overhead"),
    Script("endpoint_latency"),
    Script("serving_comparison", timeout_s=INSTALL_TIMEOUT_S),
    Script("agent_isolation"),
    Script("agent_hot_swap"),
    Script("agent_recovery"),
    Script("agent_memory"),
    Script("agent_cpu"),
    Script("agent_start"),
    Script("agent_windows"),
)


class Outcome(NamedTuple):
    """How a script ended: its claims, what was wrong with it (empty: nothing), and how long it took."""

    name: str
    claims: tuple[Claim, ...]
    trouble: str
    took_s: float


def run_script(script: Script) -> Outcome:
    """One script, its output going where this program's goes; what it starts ends with it."""
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        claims = Path(folder) / "claims.jsonl"
        command = [sys.executable, str(ROOT / "benchmarks" / f"{script.name}.py"), *script.arguments]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, CLAIMS_VARIABLE: str(claims)}, start_new_session=True)
        try:
            code = process.wait(script.timeout_s)
            trouble = f"exit status {code}" if code else ""
        except subprocess.TimeoutExpired:
            trouble = f"not done after {script.timeout_s:.0f} s"
        finally:
            end_group(process)
        return Outcome(script.name, read_claims(claims), trouble, time.monotonic() - begun_s)


def end_group(process: "subprocess.Popen[bytes]") -> None:
    """Ask all that a script started to end, then kill what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number) if hasattr(os, "killpg") else process.kill()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue


def read_claims(path: Path) -> tuple[Claim, ...]:
    """What a script said of its claims; nothing where it did not come so far."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return tuple(Claim(**json.loads(line)) for line in lines)


def summary(outcomes: Sequence[Outcome]) -> list[tuple[str, str, str, str, str]]:
    """The rows of the last table."""
    rows = []
    for outcome in outcomes:
        rows += [(outcome.name, claim.what, claim.measured, claim.wanted, held_words(held=claim.held)) for claim in outcome.claims]
        if outcome.trouble or not outcome.claims:
            rows.append((outcome.name, "the script itself", outcome.trouble or "it told no claim", "runs to its end", "NO"))
    return rows


def choose(names: Sequence[str]) -> list[Script]:
    """The scripts to run, in their order; all where none is named."""
    return [script for script in SCRIPTS if not names or script.name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bench_agent", description="Run the agent's benchmarks and print all claims.")
    names = [script.name for script in SCRIPTS]
    parser.add_argument("--only", action="append", default=[], choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    chosen = choose(parser.parse_args(arguments).only)
    say_machine("every ratio is of one run")
    outcomes = []
    for script in chosen:
        print(f"\n{'=' * 20} {script.name} {'=' * 20}", flush=True)
        outcomes.append(run_script(script))
    print_rows("all claims", ("script", "claim", "measured", "wanted", "held"), summary(outcomes))
    took = ", ".join(f"{outcome.name} {outcome.took_s:.0f}" for outcome in outcomes)
    print(f"\nseconds: {took}; together {sum(outcome.took_s for outcome in outcomes):.0f}")
    return int(any(outcome.trouble for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
