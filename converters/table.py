"""A conversion's report as text: the table, what was refused, and what to try."""

import io
import shutil

from converters.gate import worst_class
from converters.report import ConversionReport

_POINTS = 100
_WIDTH_MIN = 100


def report_text(report: ConversionReport) -> str:
    """The table of variants and everything a person should know beside it."""
    parts = [_table(report), f"Measured on {report.machine} with one thread; a device measures anew."]
    if not report.labelled:
        count = report.evaluation_count
        parts.append(f"No labelled evaluation samples: accuracy is unknown, agreement and parity on {count} samples are shown.")
    parts += [f"{name} was not made: {reason}" for name, reason in report.refused.items()]
    parts += [f"{name} fails the gate: {gate.reason}" for name, gate in report.gates.items() if not gate.passed]
    parts += [f"  {number}. {remedy}" for number, remedy in enumerate(report.remedies, 1)]
    return "\n".join(parts)


def _table(report: ConversionReport) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("variant", "accuracy", "change", "agrees", "parity", "size", "p50", "p95", "worst class", "gate"):
        table.add_column(name, justify="left" if name in {"variant", "worst class", "gate"} else "right", no_wrap=True)
    for row in rows(report):
        table.add_row(*(Text(cell) for cell in row))
    width = max(shutil.get_terminal_size((_WIDTH_MIN, 24)).columns, _WIDTH_MIN)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def rows(report: ConversionReport) -> list[tuple[str, ...]]:
    """The table's cells: accuracy in percent, change in points, parity as a difference of scores, size in kB, times in ms."""
    found: list[tuple[str, ...]] = []
    for name, variant in report.variants.items():
        evaluation = variant.evaluation
        if evaluation is None:
            continue
        worst = worst_class(evaluation.class_change)
        gate = report.gates.get(name)
        found.append(
            (
                name,
                f"{_POINTS * evaluation.score:.2f} %" if report.labelled else "unknown",
                f"{_POINTS * evaluation.change:+.2f}" if report.labelled else "unknown",
                f"{_POINTS * evaluation.agreement:.2f} %",
                f"{evaluation.parity:.2g}",
                f"{report.files[name].size_bytes / 1000:.1f} kB",
                f"{evaluation.latency_p50_ms:.3f} ms",
                f"{evaluation.latency_p95_ms:.3f} ms",
                f"{worst[0]} {_POINTS * worst[1]:+.1f}" if worst and worst[1] < 0 else "none",
                "not judged" if gate is None else "pass" if gate.passed else "FAIL",
            )
        )
    return found
