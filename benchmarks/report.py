"""How the agent's benchmarks print: what machine it was, and one table."""

import os
import platform
from collections.abc import Sequence


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
