"""A conversion's variants as rows and bubbles, judged by a limit; pure functions of the report."""

import re
from collections.abc import Iterable

from contract.manifest import Variant
from converters.gate import Gate, GateResult, judge
from converters.report import ConversionReport
from desktop_app.ui import figures
from desktop_app.ui.charts.pareto import Bubble
from desktop_app.ui.questions.shipping import BuiltVersion
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.tables import Cell, Column

VARIANT_COLUMNS = (
    Column(Text("Variant"), stretch=True),
    Column(Text("Accuracy"), is_number=True),
    Column(Text("Δ points"), is_number=True),
    Column(Text("Size"), is_number=True),
    Column(Text("p50 here"), is_number=True),
    Column(Text("p95 here"), is_number=True),
    Column(Text("Flipped"), is_number=True),
    Column(Text("Gate")),
)
PACKAGE_COLUMNS = (Column(Text("Package"), stretch=True), Column(Text("Size"), is_number=True))
PROPER_NAMES = {"onnx": "ONNX", "litert": "LiteRT"}
CLASSES_NAMED = 3
_POINTS = 100

Row = tuple[str, tuple[Cell, ...]]


def variant_title(name: str) -> str:
    """`litert-int8` as `LiteRT int8`."""
    return " ".join(PROPER_NAMES.get(word, word) for word in name.split("-"))


def model_id(name: str) -> str:
    """A registered model's id from a project's name."""
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return kept or "model"


def verdict_of(report: ConversionReport, name: str, max_loss: float) -> GateResult | None:
    """What a limit of `max_loss` points says of a variant; None for the reference, or where nothing was measured."""
    evaluation = report.variants[name].evaluation
    return None if evaluation is None or name == report.reference else judge(evaluation, Gate(max_loss / _POINTS))


def variant_rows(report: ConversionReport, max_loss: float) -> list[Row]:
    """A row for each variant, then for each target that was refused."""
    rows = [(name, _variant_cells(report, name, variant, max_loss)) for name, variant in report.variants.items()]
    return rows + [(name, _refused_cells(name, reason)) for name, reason in report.refused.items()]


def _variant_cells(report: ConversionReport, name: str, variant: Variant, max_loss: float) -> tuple[Cell, ...]:
    found, is_reference = variant.evaluation, name == report.reference
    source = Text("measured on {machine}, {time}", machine=figures.one_line(report.machine), time=figures.local_time(report.created_at))
    return (
        Cell(variant_title(name), tip=source),
        Cell(figures.percent(found.score if found else None), tip=source),
        Cell(figures.NONE if is_reference else figures.points(found.change if found else None), tip=source),
        Cell(figures.size(report.files[name].size_bytes)),
        Cell(figures.milliseconds(found.latency_p50_ms if found else None), tip=source),
        Cell(figures.milliseconds(found.latency_p95_ms if found else None), tip=source),
        Cell(figures.NONE if is_reference else figures.count(len(report.flipped.get(name, ())))),
        _gate_cell(verdict_of(report, name, max_loss)),
    )


def _gate_cell(verdict: GateResult | None) -> Cell:
    if verdict is None:
        return Cell(Text("reference"), "neutral")
    return Cell(Text("ok"), "good", tip=verdict.reason) if verdict.passed else Cell(Text("over the limit"), "bad", tip=verdict.reason)


def _refused_cells(name: str, reason: str) -> tuple[Cell, ...]:
    tip = figures.one_line(reason)
    dashes = tuple(Cell(figures.NONE) for _ in range(len(VARIANT_COLUMNS) - 2))
    return (Cell(variant_title(name), tip=tip), *dashes, Cell(Text("refused"), "bad", tip=tip))


def bubbles(report: ConversionReport, max_loss: float) -> tuple[Bubble, ...]:
    """The measured variants as bubbles; those over the limit are hollow."""
    found = []
    for name, variant in report.variants.items():
        evaluation, verdict = variant.evaluation, verdict_of(report, name, max_loss)
        if evaluation is not None:
            is_refused = verdict is not None and not verdict.passed
            size = report.files[name].size_bytes
            found.append(Bubble(variant_title(name), evaluation.latency_p50_ms, evaluation.score * _POINTS, size, is_refused))
    return tuple(found)


def gate_sentence(report: ConversionReport, max_loss: float) -> Text:
    """What the limit means for all variants together, and whether the conversion was judged by another one."""
    verdicts = {name: verdict.passed for name in report.variants if (verdict := verdict_of(report, name, max_loss)) is not None}
    if any(name in report.gates and report.gates[name].passed != passed for name, passed in verdicts.items()):
        return Text("Convert again to put this limit in force.")
    failed = [variant_title(name) for name, passed in verdicts.items() if not passed]
    return Text("Over the limit: {names}", names=", ".join(failed)) if failed else Text("Every variant is within the limit.")


def has_failed_gate(report: ConversionReport) -> bool:
    """Whether the conversion's own gate stops a variant."""
    return any(not result.passed for result in report.gates.values())


def class_sentence(report: ConversionReport, name: str) -> Text:
    """The classes that lost the most recall in a variant."""
    evaluation = report.variants[name].evaluation
    changes = sorted((evaluation.class_change if evaluation else {}).items(), key=lambda pair: pair[1])
    worst = [f"{figures.one_line(label, 16)} {figures.points(change)}" for label, change in changes[:CLASSES_NAMED] if change < 0]
    if not worst:
        return Text("{name}: no class lost recall", name=variant_title(name))
    return Text("{name}, recall by class: {worst} points", name=variant_title(name), worst=", ".join(worst))


def package_rows(packages: Iterable[BuiltVersion]) -> list[Row]:
    """A row for each package."""
    rows: list[Row] = []
    for package in packages:
        tip = Text("run {run}, digest {digest}…", run=package.manifest.lineage.run, digest=package.digest[:16])
        title = Text("{model} version {n}", model=package.manifest.name, n=package.manifest.version)
        rows.append((package.name, (Cell(title, tip=tip), Cell(figures.size(package.size_bytes)))))
    return rows
