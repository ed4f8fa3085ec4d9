"""What a step of a conversion is: requires → run → ensures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.samples import Sample
from converters.sources import Source


@dataclass(frozen=True)
class Material:
    """What every step of one conversion may use."""

    source: Source
    calibration: Sequence[Sample]


@dataclass(frozen=True)
class Step:
    """One step: from a file (None for a model in memory) to a new file.

    `edges` are its pairs (format required, format ensured). `run(material, input, output)` writes
    `output`; `ensure(material, input, output)` proves it, and raises `StepError` where it does not hold.
    `systems` are the pairs (system, machine) on which its packages exist; empty: everywhere.
    """

    name: str
    edges: tuple[tuple[str, str], ...]
    run: Callable[[Material, Path, Path], None]
    ensure: Callable[[Material, Path, Path], None]
    packages: tuple[str, ...]
    systems: tuple[tuple[str, str], ...] = ()
    needs_calibration: bool = False
