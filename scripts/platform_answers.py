"""Starts the program of `scripts.golden_answers` on another platform and puts its answers into words."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 600.0
_SIGNAL_CODE = 128  # a shell and an emulator report a signal as 128 + its number


class Answers(NamedTuple):
    """What one run of the program gave; `failure` says why there is nothing, and is empty otherwise."""

    platform: dict[str, Any]
    rows: list[dict[str, Any]]
    failure: str = ""

    @property
    def passed(self) -> bool:
        """Whether there are answers and every one is right."""
        return not self.failure and bool(self.rows) and all(row["passed"] for row in self.rows)


def ask(command: Sequence[str], environment: Mapping[str, str], limit_s: float = LIMIT_S) -> Answers:
    """Run `command` (an interpreter and its options) with the program's module and options, and read its document."""
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment}, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return Answers({}, [], f"gave no answer within {limit_s:.0f} s")
    if answer.returncode:
        return Answers({}, [], f"{how_it_ended(answer.returncode)}: {_last_line(answer.stderr)}")
    try:
        document = json.loads(answer.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return Answers({}, [], f"printed no document but {answer.stdout[-200:]!r}")
    return Answers(document["platform"], document["rows"])


def how_it_ended(code: int) -> str:
    """An exit code in words, signals by name."""
    number = -code if code < 0 else code - _SIGNAL_CODE
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended with code {code}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it wrote nothing"])[-1][:300]


def describe(answers: Answers) -> list[str]:
    """One line for each answer."""
    if answers.failure:
        return [answers.failure]
    if answers.platform.get("absent"):
        return [str(answers.platform["absent"])]
    vectors = [row for row in answers.rows if "vector" in row]
    right = sum(row["passed"] for row in vectors)
    summary = [f"{right} of {len(vectors)} test vectors of the host steps are met"] if vectors else []
    return summary + [_describe(row) for row in answers.rows if "vector" not in row or not row["passed"]]


def _describe(row: dict[str, Any]) -> str:
    verdict = "ok" if row["passed"] else "FAILED"
    if "part" in row:
        return f"{row['part']}: {verdict}"
    name = f"host step {row['vector']}" if "vector" in row else f"{row['package']} {row['variant']}"
    if "error" in row:
        return f"{name}: refused, {row['error']}"
    steps = f" after {', '.join(row['steps'])}" if row.get("steps") else ""
    count = f"{row['samples']} golden samples{steps}, " if "samples" in row else ""
    return f"{name}: {count}largest difference {row['max_difference']:.3g}, allowed {row['tolerance']:.3g}: {verdict}"
