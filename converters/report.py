"""What a conversion gives: variants with what was measured of each, what was refused and why, the gate's verdicts."""

from pathlib import Path
from typing import ClassVar

import msgspec

from contract.codec import decode, encode
from contract.files import read_bounded, write_atomic
from contract.manifest import FileEntry, Variant
from converters.errors import ConversionError
from converters.gate import GateResult
from converters.targets import TARGETS

REPORT_NAME = "conversion.json"
REPORT_MAX_BYTES = 32 << 20


class ConversionReport(msgspec.Struct, frozen=True):
    """The result of one conversion; kept as `conversion.json` beside the variants' files.

    `variants` are those that were made, each with its evaluation; `refused` says of the others why
    not. Without labelled evaluation samples `gates` is empty. `flipped` gives by variant the indices
    of evaluation samples whose answer differs from the reference's.
    """

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    source: str  # torch, sklearn, onnx, tflite
    reference: str
    created_at: str
    machine: str  # where latencies were measured
    labels: tuple[str, ...]
    variants: dict[str, Variant]
    files: dict[str, FileEntry]  # by variant
    refused: dict[str, str]
    gates: dict[str, GateResult]
    flipped: dict[str, tuple[int, ...]]
    remedies: tuple[str, ...]
    calibration_count: int
    evaluation_count: int
    labelled: bool
    software: dict[str, str]

    @property
    def shippable(self) -> tuple[str, ...]:
        """Variants that no gate stops, in their order."""
        return tuple(name for name in self.variants if name not in self.gates or self.gates[name].passed)


def save_report(report: ConversionReport, folder: Path) -> Path:
    """Write `conversion.json`."""
    write_atomic(folder / REPORT_NAME, encode(report))
    return folder / REPORT_NAME


def load_report(folder: Path) -> ConversionReport:
    """Read `conversion.json`.

    Raises:
        ConversionError: there is none.
        contract.errors.ContractError: it is broken or newer than this program.
    """
    if not (folder / REPORT_NAME).is_file():
        raise ConversionError(f"{folder.name} holds no conversion", "Convert the run first")
    report = decode(read_bounded(folder / REPORT_NAME, REPORT_MAX_BYTES), ConversionReport, REPORT_NAME, REPORT_MAX_BYTES)
    return in_order(report)


def in_order(report: ConversionReport) -> ConversionReport:
    """The report with its variants in the order of `TARGETS` (JSON sorts them by name)."""
    ordered = {name: report.variants[name] for name in TARGETS if name in report.variants}
    return msgspec.structs.replace(report, variants=ordered)
