"""`report.json` of a package: what was measured on the desk, for the server's and the studio's pages."""

from typing import Any, ClassVar

import msgspec

from contract.codec import to_mapping
from desktop_app.evaluation.evaluation import find_evaluation
from desktop_app.release.acceptance import AcceptanceFigures
from desktop_app.release.subject import Subject

_STAYS_AT_THE_DESK = ("worst",)  # it names files of the user


class VersionReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version's figures; `evaluation` is that of the run without the names of samples, `gates` those of its conversion."""

    SCHEMA_VERSION: ClassVar[int] = 1

    schema_version: int
    model: str
    version: int
    run: str
    machine: str  # where latencies were measured
    evaluation: dict[str, Any] | None
    acceptance: AcceptanceFigures | None
    gates: dict[str, Any]
    refused: dict[str, str]
    left_out: dict[str, str]
    gate_override: str = ""


def build_report(
    subject: Subject, model: str, version: int, acceptance: AcceptanceFigures | None, left_out: dict[str, str]
) -> VersionReport:
    """Collect the figures of a version."""
    evaluation = find_evaluation(subject.run)
    plain = to_mapping(evaluation) if evaluation else None
    return VersionReport(
        schema_version=VersionReport.SCHEMA_VERSION,
        model=model,
        version=version,
        run=subject.run.id,
        machine=subject.conversion.machine,
        evaluation={name: value for name, value in plain.items() if name not in _STAYS_AT_THE_DESK} if plain else None,
        acceptance=acceptance,
        gates=to_mapping(subject.conversion.gates),
        refused=dict(subject.conversion.refused),
        left_out=left_out,
    )
