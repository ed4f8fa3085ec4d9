"""Data: the samples of the project, what an import did, and the next dataset version."""

from pathlib import Path
from typing import ClassVar

from PySide6.QtWidgets import QFileDialog, QLineEdit, QStackedWidget

from desktop_app.data.catalogue import exclude, set_label, undo
from desktop_app.data.columns import list_columns
from desktop_app.data.importing import ImportReport, list_imports
from desktop_app.data.project import Project
from desktop_app.errors import DataError
from desktop_app.jobs.requests import AcceptanceJob, FreezeJob, ImportJob
from desktop_app.ui import figures
from desktop_app.ui.grid.model import SampleModel
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.language import say
from desktop_app.ui.pages.freeze_card import FreezeCard
from desktop_app.ui.pages.import_report import ImportReportCard, report_sentence
from desktop_app.ui.pages.inspector import Inspector, split_name
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.sample_table import SampleTable
from desktop_app.ui.questions.filters import NO_SPLIT, parse_filter, with_word
from desktop_app.ui.questions.holdings import Holdings, read_holdings
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text, counted
from desktop_app.ui.widgets.bars import Bar, BarList
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.layouts import boxed, column, row, scrolled
from desktop_app.ui.widgets.states import EmptyState, Notice
from desktop_app.ui.workspace import IMPORTS, SAMPLES, VERSIONS

SIDE_WIDTH = 212


class DataPage(Page):
    """Grid or table, filter, bars, import report, freeze."""

    key: ClassVar[str] = "data"
    title: ClassVar[Text] = Text("Data")
    icon: ClassVar[str] = "image"
    topics: ClassVar[frozenset[str]] = frozenset({SAMPLES, VERSIONS, IMPORTS})
    job_names: ClassVar[frozenset[type]] = frozenset({ImportJob, FreezeJob, AcceptanceJob})

    def __init__(self, studio: Studio) -> None:
        self.import_button = button(Text("Import"), "download-simple", "", self.choose_source)
        self.primary = button(Text("Freeze version"), "snowflake", "primary", self.freeze)
        super().__init__(studio, (self.import_button, self.primary))
        self._holdings: Holdings | None = None
        self._report: ImportReport | None = None
        self.model = SampleModel(studio.workspace)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        say(self.filter, Text("Filter: label:7 is:queued"), "setPlaceholderText")
        say(self.filter, Text("Filter the samples"), "setAccessibleName")
        say(
            self.filter,
            Text("label:…  split:train|validation|test|acceptance  is:unlabelled|excluded|queued|conflict  sort:name|newest|score"),
            "setToolTip",
        )
        self.classes, self.splits = BarList(), BarList(many_colours=False)
        self.freeze_card = FreezeCard()
        self.notice = Notice(Text("Show report"), self.toggle_report)
        self.grid = SampleGrid(Text("Samples"), studio.thumbnails)
        self.grid.setModel(self.model)
        self.table = SampleTable(self.model)
        self.report_card = ImportReportCard(self.toggle_report)
        self.inspector = Inspector(studio.thumbnails)
        self._lay_out()
        self.empty = self.add_state(self._empty_state())
        self._connect()

    def _empty_state(self) -> EmptyState:
        choose = button(Text("Import"), "download-simple", "", self.choose_source)
        sentence = Text(
            "Import a folder of images with one subfolder per class, or a CSV table. What is refused is listed with the reason."
        )
        return EmptyState("image", Text("No samples yet"), sentence, choose)

    def _lay_out(self) -> None:
        classes = Card(Text("Classes"), space=2)
        inner = boxed(column(self.classes, None, space=0))
        classes.add(scrolled(inner), 1)
        splits = Card(Text("Splits"), space=2)
        splits.add(self.splits)
        side = boxed(column(self.filter, classes, splits, self.freeze_card, space=SPACE_M))
        side.layout().setStretch(1, 1)  # type: ignore[union-attr]
        side.setFixedWidth(SIDE_WIDTH)
        grid = Card()
        self.views = QStackedWidget()
        for view in (self.grid, self.table):
            self.views.addWidget(view)
        grid.add(self.views, 1)
        self.middle = QStackedWidget()
        for part in (grid, self.report_card):
            self.middle.addWidget(part)
        line = row(side, column(self.notice, self.middle), self.inspector, space=SPACE_M)
        line.setStretch(1, 1)
        self.content_box.addLayout(line)

    def _connect(self) -> None:
        self.filter.editingFinished.connect(self.apply_filter)
        self.filter.textChanged.connect(lambda text: None if text else self.apply_filter())
        self.classes.chosen.connect(lambda key: self._filter_by("label", key))
        self.splits.chosen.connect(lambda key: self._filter_by("split", key))
        self.grid.chosen.connect(self.inspector.inspect)
        self.table.chosen_samples.connect(self.inspector.inspect)
        self.inspector.label_wanted.connect(self.relabel)
        self.inspector.exclude_wanted.connect(self.exclude)
        self.model.loaded.connect(lambda _count: self.inspector.inspect(self.grid.chosen_samples()))

    # what is shown

    def refresh(self) -> None:
        """Ask for the counts, the last report and the samples."""
        self.studio.workspace.ask(self, "data", _read, self._take, self.tell_trouble)
        self.model.refresh()

    def _take(self, found: tuple[Holdings, ImportReport | None, tuple[str, ...]]) -> None:
        self._holdings, self._report, features = found
        self.table.set_features(features)
        self.render_again()

    def render_again(self) -> None:
        """Show counts, bars and the report."""
        holdings = self._holdings
        if holdings is None:
            return
        if not holdings.samples and self._report is None:
            self.show_state(self.empty)
        else:
            self.show_content()
        self.primary.setEnabled(bool(holdings.classes))
        self._show_chips(holdings)
        self.classes.set(tuple(Bar(name, name, count) for name, count in holdings.classes))
        total = sum(count for _, count in holdings.splits)
        self.splits.set(tuple(Bar(name or NO_SPLIT, str(split_name(name)), count) for name, count in holdings.splits), total)
        self.inspector.set_labels([name for name, _ in holdings.classes])
        self.freeze_card.show_acceptance(holdings.acceptance, sum(count for _, count in holdings.classes))
        self.views.setCurrentWidget(self.table if holdings.task.startswith("tabular") else self.grid)
        self.inspector.setVisible(not holdings.task.startswith("tabular"))
        if self._report is not None:
            self.report_card.set(self._report)
        is_wanted = self._report is not None and (self._report.refused or self._report.conflicts or self._report.duplicates)
        self.notice.tell(report_sentence(self._report) if self._report is not None and is_wanted else None)

    def _show_chips(self, holdings: Holdings) -> None:
        classes = len(holdings.classes)
        chips: list[tuple[Text | str, str]] = [
            (Text("{count} samples", count=figures.count(holdings.samples)), "neutral"),
            (counted(classes, Text("1 class"), Text("{n} classes", n=classes)), "neutral"),
        ]
        newest = holdings.newest_version
        if newest is None:
            chips.append((Text("no version frozen"), "caution"))
        elif holdings.has_unfrozen_edits:
            chips.append((Text("version {n} · unfrozen edits", n=newest.number), "caution"))
        else:
            chips.append((Text("version {n}", n=newest.number), "good"))
        self.header.set_chips(chips)

    def apply_filter(self) -> None:
        """Show what the filter line asks for."""
        try:
            query = parse_filter(self.filter.text())
        except DataError as error:
            self.error.tell(str(error)[:1].upper() + str(error)[1:])
            return
        self.error.clear()
        self.classes.choose(query.label or "")
        self.splits.choose(NO_SPLIT if query.split == "" else query.split or "")
        if query != self.model.query:
            self.model.show(query)

    def _filter_by(self, key: str, value: str) -> None:
        self.filter.setText(with_word(self.filter.text(), key, value))
        self.apply_filter()

    def toggle_report(self) -> None:
        """Show the report in place of the samples, or the samples again."""
        showing = self.middle.currentWidget() is self.report_card
        self.middle.setCurrentIndex(0 if showing else 1)

    # what can be done

    def choose_source(self) -> None:
        """Ask for a folder or table and import it."""
        holdings = self._holdings
        if holdings is not None and holdings.task.startswith("tabular"):
            name, _ = QFileDialog.getOpenFileName(self, str(Text("Choose a CSV…")), "", "CSV (*.csv *.tsv)")
        else:
            name = QFileDialog.getExistingDirectory(self, str(Text("Choose a folder…")))
        if name:
            self.import_path(Path(name))

    def import_path(self, path: Path) -> JobHandle:
        """Import into the open project."""
        title = Text("Import of {name}", name=figures.one_line(path.name, 40))
        return self.studio.run(ImportJob(path=str(path)), title, frozenset({SAMPLES, IMPORTS}))

    def freeze(self) -> None:
        """Freeze the acceptance set, if there is none yet, then a version."""
        acceptance = self.freeze_card.acceptance_job()
        if acceptance is not None:
            self.studio.run(acceptance, Text("Freezing the acceptance set"), frozenset({SAMPLES, VERSIONS}))
        self.studio.run(self.freeze_card.job(), Text("Freezing a dataset version"), frozenset({SAMPLES, VERSIONS}))

    def relabel(self, ids: list[int], name: str) -> None:
        """Give samples another label; a toast offers the undo."""
        sentence = Text('{count} labelled "{name}"', count=len(ids), name=figures.one_line(name, 30))
        self._change(lambda project: set_label(project, ids, name), sentence)

    def exclude(self, ids: list[int], is_out: bool) -> None:
        """Keep samples out of later versions, or take them back."""
        sentence = Text("{count} excluded", count=len(ids)) if is_out else Text("{count} taken back in", count=len(ids))
        self._change(lambda project: exclude(project, ids, is_out), sentence)

    def _change(self, operation: object, sentence: Text) -> None:
        done = lambda _count: self.studio.toast(sentence, Text("Undo"), self.undo)  # noqa: E731
        self.studio.workspace.change(self, operation, frozenset({SAMPLES}), done, self.tell_trouble)  # type: ignore[arg-type]

    def undo(self) -> None:
        """Take back the last change of labels."""
        said = lambda text: self.studio.toast(Text("Undone") if text else Text("Nothing to undo"))  # noqa: E731
        self.studio.workspace.change(self, undo, frozenset({SAMPLES}), said, self.tell_trouble)

    def job_done(self, handle: JobHandle) -> None:
        """Say what an import or a freeze did."""
        if isinstance(handle.job, FreezeJob) and getattr(handle.outcome, "result", None):
            result = handle.outcome.result  # type: ignore[union-attr]
            self.studio.toast(
                Text("Version {n} frozen: {count} samples", n=result["number"], count=figures.count(result["samples"])),
                Text("Train"),
                lambda: self.studio.go("train"),
            )


def _read(project: Project) -> tuple[Holdings, ImportReport | None, tuple[str, ...]]:
    imports = list_imports(project)
    features, _target = list_columns(project)
    return read_holdings(project), imports[0] if imports else None, tuple(column.name for column in features)
