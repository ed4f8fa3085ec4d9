"""What an import took and what it refused, row by row with the reason."""

from collections.abc import Callable

from desktop_app.data.importing import ImportReport
from desktop_app.ui import figures
from desktop_app.ui.language import show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.tables import Cell, Column, Table

ROWS_MAX = 2000


def report_sentence(report: ImportReport) -> Text:
    """The report in one line."""
    return Text(
        "Import of {name}: {taken} taken, {refused} refused, {duplicates} duplicates, {conflicts} contradictory labels",
        name=figures.one_line(report.source, 40),
        taken=figures.count(report.taken),
        refused=figures.count(len(report.refused)),
        duplicates=figures.count(report.duplicates),
        conflicts=figures.count(len(report.conflicts)),
    )


class ImportReportCard(Card):
    """Counts, notes, and the table of what was refused."""

    def __init__(self, on_close: Callable[[], object]) -> None:
        super().__init__(Text("Import report"))
        self.head.addWidget(button(Text("Back to the samples"), "arrow-left", "quiet", on_close))
        self.summary = label("", "muted", wrap=True)
        self.notes = label("", "small", wrap=True)
        columns = (Column(Text("Name"), stretch=True), Column(Text("What")), Column(Text("Reason"), stretch=True))
        self.table = Table(Text("Refused and contradictory"), columns)
        self.add(self.summary)
        self.add(self.notes)
        self.add(self.table, 1)

    def set(self, report: ImportReport) -> None:
        """Show a report."""
        show(self.summary, report_sentence(report))
        show(self.notes, "\n".join(figures.one_line(note) for note in report.notes))
        self.notes.setVisible(bool(report.notes))
        self.table.set(report_rows(report))


def report_rows(report: ImportReport) -> list[tuple[str, tuple[Cell, ...]]]:
    """A row for each refused file, contradictory label and leak."""
    rows = [(Cell(r.name), Cell(Text("refused"), "bad"), Cell(r.reason, tip=figures.one_line(r.reason))) for r in report.refused]
    for c in report.conflicts:
        reason = Text('labelled "{one}" here and "{two}" as {name}', one=c.label, two=c.other_label, name=c.other_name)
        rows.append((Cell(c.name), Cell(Text("contradictory"), "caution"), Cell(reason)))
    for leak in report.leaks:
        reason = Text("also in another split as {name}; kept in {split}", name=leak.other_name, split=leak.kept)
        rows.append((Cell(leak.name), Cell(Text("leak"), "caution"), Cell(reason)))
    return [(str(at), cells) for at, cells in enumerate(rows[:ROWS_MAX])]
