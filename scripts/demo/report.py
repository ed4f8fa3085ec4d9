"""The report of a demonstration: one HTML file that needs nothing beside its pictures."""

import html
from collections.abc import Sequence
from pathlib import Path

from contract.codec import utc_now
from contract.files import write_atomic
from scripts.demo.state import Demo

STYLE = """
:root { color-scheme: light dark; --back: #F6F7F9; --card: #FFF; --line: #E2E6EC; --ink: #18212B; --soft: #5B6777;
  --good: #1F7A3F; }
@media (prefers-color-scheme: dark) { :root {
  --back: #11151A; --card: #191F27; --line: #2A323D; --ink: #E7EBF0; --soft: #97A3B3; --good: #6CCB8A; } }
body { margin: 0 auto; max-width: 1080px; padding: 24px; background: var(--back); color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; } h2 { font-size: 16px; margin: 0 0 12px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 16px 20px; margin: 16px 0; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: var(--soft); font-weight: 600; }
td, th { padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; } td.number, th.number { text-align: right; }
.yes { color: var(--good); font-weight: 600; }
figure { margin: 0 0 16px; background: #FFF; border-radius: 6px; padding: 8px; } figcaption { color: #5B6777; }
.row { display: flex; flex-wrap: wrap; gap: 16px; } .row figure { flex: 1 1 300px; }
.shots figure { flex: 1 1 460px; background: none; padding: 0; }
img { max-width: 100%; } p.soft { color: var(--soft); }
"""


def write_report(demo: Demo, pictures: dict[str, Path], pages: Sequence[Path]) -> Path:
    """Write `<demo>/report.html`; every text from data is escaped."""
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Eyelet: the loop</title><style>{STYLE}</style>",
        "<h1>The loop, from a folder of pictures to three devices</h1>",
        f"<p class='soft'>{utc_now()} · every figure was measured in this run</p>",
        section(
            "What held",
            table(["claim", "", "evidence"], [[claim, "yes" if holds else "no", evidence] for claim, holds, evidence in demo.held]),
        ),
        section("Pictures", "<div class='row'>" + "".join(figure(demo.folder, path, title) for title, path in pictures.items()) + "</div>"),
        section("Variants of version 1, measured through the engine that the device uses", variants(demo)),
        section("Version 2 beside version 1", comparison(demo)),
        section(
            "The studio, showing this project",
            "<div class='row shots'>" + "".join(figure(demo.folder, path, path.stem) for path in pages) + "</div>",
        ),
        section("In plain words", "<ol>" + "".join(f"<li>{html.escape(text)}</li>" for _, text in demo.console.lines) + "</ol>"),
    ]
    path = demo.folder / "report.html"
    write_atomic(path, "".join(parts).encode())
    return path


def section(title: str, body: str) -> str:
    """A card."""
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(cell(text) for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def cell(text: str) -> str:
    """One cell."""
    return f"<td class='yes'>{text}</td>" if text == "yes" else f"<td>{html.escape(text)}</td>"


def figure(folder: Path, path: Path, title: str) -> str:
    """A picture with its title, by a path relative to the report."""
    source, name = html.escape(path.relative_to(folder).as_posix()), html.escape(title)
    return f"<figure><img src='{source}' alt='{name}'><figcaption>{name}</figcaption></figure>"


def variants(demo: Demo) -> str:
    """Accuracy, change, parity, size and latency of each variant."""
    report = demo.results["conversion 1"]
    rows = []
    for name, variant in report["variants"].items():
        found = variant["evaluation"]
        size = report["files"][name]["size_bytes"]
        change, parity = 100 * found.get("change", 0), found.get("parity", 0)
        rows.append([name, f"{found['score']:.2%}", f"{change:+.2f} points", f"{parity:.2g}", f"{size / 1000:.0f} kB",
                     f"{found['latency_p50_ms']:.3f} / {found['latency_p95_ms']:.3f} ms"])  # fmt: skip
    return table(["variant", "accuracy", "change", "parity", "size", "latency p50 / p95"], rows)


def comparison(demo: Demo) -> str:
    """Arms and verdict of the A/B rollout."""
    view = demo.results.get("comparison")
    if view is None:
        return "<p>not run</p>"
    rows = [
        [
            f"{arm.arm}: version {arm.version}",
            ", ".join(arm.devices),
            str(arm.inferences),
            f"{arm.latency_p50_ms or 0:.2f} / {arm.latency_p95_ms or 0:.2f} ms",
        ]
        for arm in view.arms
    ]
    return f"<p>{html.escape(view.verdict.text)}</p>" + table(["arm", "devices", "inferences", "latency p50 / p95"], rows)
