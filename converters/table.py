"""A conversion's report as text: the table, what was refused, and what to try."""

import io
from collections.abc import Mapping

from converters.gate import worst_class
from converters.report import ConversionReport, in_order

_POINTS = 100
_WIDTH = 200  # a terminal wraps what it can not hold; cut figures would be worse


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
    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def rows(report: ConversionReport) -> list[tuple[str, ...]]:
    """The table's cells: accuracy in percent, change in points, parity as a difference of scores, size in kB, times in ms."""
    found: list[tuple[str, ...]] = []
    for name, variant in in_order(report).variants.items():
        evaluation = variant.evaluation
        if evaluation is None:
            continue
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
                _worst(evaluation.class_change),
                "not judged" if gate is None else "pass" if gate.passed else "FAIL",
            )
        )
    return found


def _worst(class_change: Mapping[str, float]) -> str:
    worst = worst_class(class_change)
    if worst is None:
        return "unknown"
    return f"{worst[0]} {_POINTS * worst[1]:+.1f}" if worst[1] < 0 else "none"
