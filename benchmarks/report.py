"""How the agent's benchmarks print: what machine it was, one table, and the claims with what was measured."""

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CLAIMS_VARIABLE = "EYELET_BENCH_CLAIMS"
"""Names a file to which the claims are added, one JSON object a line, for who runs several scripts."""


class Claim(NamedTuple):
    """One line of what must be shown."""

    what: str
    measured: str
    wanted: str
    held: bool


def at_most(what: str, value: float, limit: float, unit: str, note: str = "") -> Claim:
    """A claim that a number is no larger than a limit; `note` is printed behind the number."""
    return Claim(what, f"{value:.3g} {unit}{f' ({note})' if note else ''}", f"at most {limit:g} {unit}", value <= limit)


def at_least(what: str, value: float, limit: float, unit: str) -> Claim:
    """A claim that a number is no smaller than a limit."""
    return Claim(what, f"{value:.3g} {unit}", f"at least {limit:g} {unit}", value >= limit)


def say_machine(what: str) -> None:
    """One line about the machine and the run."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"{platform.machine()} only, {os.cpu_count()} cores (load {load:.1f} at the start), Python {platform.python_version()}; {what}")


def print_rows(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    print(f"\n{title}")
    for row in (head, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def print_claims(claims: Sequence[Claim]) -> None:
    """The claims of one script, held or not; a claim that does not hold ends nothing."""
    print_rows("claims", ("claim", "measured", "wanted", "held"), [(*claim[:3], held_words(held=claim.held)) for claim in claims])
    if path := os.environ.get(CLAIMS_VARIABLE):
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(claim._asdict()) + "\n" for claim in claims)


def held_words(*, held: bool) -> str:
    """For a table."""
    return "yes" if held else "NO"
