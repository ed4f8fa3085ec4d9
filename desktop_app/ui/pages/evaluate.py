"""Evaluate: how good a run is on samples it never saw, where it errs, and what it says of a file of yours."""

from pathlib import Path
from typing import ClassVar

from PySide6.QtWidgets import QStackedWidget

from desktop_app.data.catalogue import Sample
from desktop_app.evaluation.evaluation import Evaluation
from desktop_app.jobs.requests import EvaluateJob
from desktop_app.training.runs import Run
from desktop_app.ui import figures
from desktop_app.ui.charts.chart_card import ChartCard
from desktop_app.ui.charts.confusion import ConfusionView
from desktop_app.ui.grid.fixed import FixedSamples
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.try_panel import TryPanel
from desktop_app.ui.questions.results import Results, TryAnswer, read_cell, read_results, send_to_queue, try_file
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice, button
from desktop_app.ui.widgets.cards import Card, FigureCard
from desktop_app.ui.widgets.layouts import column, row
from desktop_app.ui.widgets.states import EmptyState, Notice
from desktop_app.ui.widgets.tables import Cell, Column, Table
from desktop_app.ui.workspace import EVALUATIONS, RUNS, SAMPLES, VARIANTS

CLASS_COLUMNS = (
    Column(Text("Class"), stretch=True),
    Column(Text("Precision"), is_number=True),
    Column(Text("Recall"), is_number=True),
    Column(Text("F1"), is_number=True),
    Column(Text("Samples"), is_number=True),
)
WRONG_COLUMNS = (
    Column(Text("Sample"), stretch=True),
    Column(Text("True label")),
    Column(Text("Said")),
    Column(Text("Score"), is_number=True),
)
MATRIX_COLUMNS = (
    Column(Text("True label")),
    Column(Text("Said")),
    Column(Text("Samples"), is_number=True),
    Column(Text("Share of the class"), is_number=True),
)


def _said_of(sample: Sample) -> str:
    return f"{sample.label or '–'} → {sample.predicted or '–'}"


class EvaluatePage(Page):
    """The primary action evaluates the chosen run on its test split."""

    key: ClassVar[str] = "evaluate"
    title: ClassVar[Text] = Text("Evaluate")
    icon: ClassVar[str] = "target"
    topics: ClassVar[frozenset[str]] = frozenset({RUNS, EVALUATIONS, VARIANTS})
    job_names: ClassVar[frozenset[type]] = frozenset({EvaluateJob})

    def __init__(self, studio: Studio) -> None:
        self.run_choice = Choice(Text("Run"))
        self.primary = button(Text("Evaluate"), "target", "primary", self.evaluate)
        super().__init__(studio, (self.run_choice, self.primary))
        self._results: Results | None = None
        self._wanted = ""
        self.accuracy = FigureCard(Text("Accuracy on the test split"))
        self.macro = FigureCard(Text("Macro F1"))
        self.calibration = FigureCard(Text("Calibration error"))
        self.wrong = FigureCard(Text("Wrong answers"))
        self.notice = Notice()
        self.confusion = ConfusionView()
        self.matrix_table = Table(Text("Confusion matrix as a table"), MATRIX_COLUMNS)
        self.classes = Table(Text("Figures per class"), CLASS_COLUMNS)
        self.samples = FixedSamples()
        self.samples_table = Table(Text("Wrong answers, the surest first"), WRONG_COLUMNS)
        self.grid = SampleGrid(Text("Wrong answers, the surest first"), studio.thumbnails, _said_of)
        self.try_panel = TryPanel(studio.thumbnails)
        self._lay_out()
        self.empty = self.add_state(self._empty_state())
        self.run_choice.activated.connect(self._choose)
        self.confusion.chosen.connect(self._choose_cell)
        self.try_panel.asked.connect(self.try_file)
        self.try_panel.wrong.connect(self.send_to_queue)

    def _empty_state(self) -> EmptyState:
        go = button(Text("Go to Train"), "chart-line-up", "", lambda: self.studio.go("train"))
        return EmptyState(
            "target", Text("No finished run yet"), Text("Train a model first; then see how good it is on samples it never saw."), go
        )

    def _lay_out(self) -> None:
        self.matrix_card = ChartCard(Text("Confusion in %, click a cell to see its samples"), self.confusion, self.matrix_table)
        self.matrix_card.export_wanted.connect(lambda suffix, content: self.studio.export(self, suffix, content))
        self.samples_card = Card(Text("Surest wrong answers"))
        self.grid.setModel(self.samples)
        self.grid.wish = 76
        self.samples_stack = QStackedWidget()
        for view in (self.grid, self.samples_table):
            self.samples_stack.addWidget(view)
        self.samples_card.add(self.samples_stack, 1)
        classes = Card(Text("Per class"))
        classes.add(self.classes, 1)
        upper = row(self.matrix_card, self.samples_card, space=SPACE_M)
        upper.setStretch(0, 5)
        upper.setStretch(1, 4)
        figure_cards = row(self.accuracy, self.macro, self.calibration, self.wrong, space=SPACE_M)
        left = column(figure_cards, self.notice, upper, classes)
        left.setStretch(2, 5)
        left.setStretch(3, 3)
        line = row(left, self.try_panel, space=SPACE_M)
        line.setStretch(0, 1)
        self.content_box.addLayout(line)

    # what is shown

    def refresh(self) -> None:
        """Ask for runs and the chosen one's evaluation."""
        wanted = self._wanted
        self.studio.workspace.ask(self, "results", lambda project: read_results(project, wanted), self._take, self.tell_trouble)

    def _take(self, results: Results) -> None:
        self._results = results
        self.render_again()

    def render_again(self) -> None:
        """Show the evaluation."""
        results = self._results
        if results is None:
            return
        if results.chosen is None:
            self.show_state(self.empty)
        else:
            self.show_content()
        self.primary.setEnabled(results.chosen is not None)
        self.run_choice.setVisible(bool(results.runs))
        self.run_choice.clear()
        for run in results.runs:
            self.run_choice.addItem(run.id, run.id)
        if results.chosen is not None:
            self.run_choice.setCurrentText(results.chosen.id)
        self.try_panel.set_variants(results.conversion, is_image_task=results.task == "image-classification")
        self._show_evaluation(results.evaluation)
        self._show_samples(results.worst)

    def _show_evaluation(self, found: Evaluation | None) -> None:
        if found is None:
            self.header.set_chips([(Text("not evaluated yet"), "caution")])
            for card in (self.accuracy, self.macro, self.calibration, self.wrong):
                card.set(figures.NONE)
            self.confusion.set((), ())
            self.matrix_table.set([])
            self.classes.set([])
            self.notice.tell(None)
            return
        source = Text(
            "run {run}, {split} split, scored by {by}, {time}",
            run=found.run,
            split=found.split,
            by=found.scored_by,
            time=figures.local_time(found.created_at),
        )
        scored = Text("scored by {name}", name=found.scored_by)
        self.header.set_chips([(Text("{count} test samples", count=figures.count(found.samples)), "neutral"), (scored, "neutral")])
        low, high = found.interval95
        interval = Text("95 % interval {low} to {high}", low=figures.percent(low), high=figures.percent(high))
        self.accuracy.set(figures.percent(found.accuracy), interval, source)
        self.macro.set(figures.percent(found.macro_f1), Text("mean of all classes"), source)
        self.calibration.set(figures.percent(found.calibration_error), Text("how far confidence is off"), source)
        wrong = found.samples - found.right
        self.wrong.set(figures.count(wrong), Text("of {count}", count=figures.count(found.samples)), source)
        self.confusion.set(found.labels, found.confusion)
        self.matrix_table.set(_matrix_rows(found))
        self.classes.set(_class_rows(found))
        self.notice.tell(Text("{note}", note=figures.one_line(" ".join(found.notes))) if found.notes else None)

    def _show_samples(self, samples: tuple[Sample, ...]) -> None:
        self._list_samples(samples)
        self.samples_card.set_title(Text("Surest wrong answers"))

    def _list_samples(self, samples: tuple[Sample, ...]) -> None:
        """Images as a grid, rows of a table as a table."""
        self.samples.set(samples)
        self.samples_table.set([(str(sample.id), _answer_cells(sample)) for sample in samples])
        is_rows = any(sample.row is not None for sample in samples)
        self.samples_stack.setCurrentWidget(self.samples_table if is_rows else self.grid)

    @property
    def chosen_run(self) -> Run | None:
        """The run that is shown."""
        return self._results.chosen if self._results is not None else None

    # what can be done

    def _choose(self, index: int) -> None:
        self._wanted = str(self.run_choice.itemData(index))
        self.refresh()

    def evaluate(self) -> JobHandle | None:
        """The primary action."""
        results = self._results
        if results is None or results.chosen is None:
            return None
        self.error.clear()
        run = results.chosen.id
        return self.studio.run(EvaluateJob(run=run), Text("Evaluation of run {run}", run=run), frozenset({EVALUATIONS}))

    def _choose_cell(self, truth: str, said: str) -> None:
        results = self._results
        if results is None or results.chosen is None:
            return
        if not truth:
            self._show_samples(results.worst)
            return
        run = results.chosen
        title = Text('"{truth}" called "{said}"', truth=figures.one_line(truth, 20), said=figures.one_line(said, 20))

        def show_cell(samples: tuple[Sample, ...]) -> None:
            self._list_samples(samples)
            self.samples_card.set_title(title)

        self.studio.workspace.ask(self, "cell", lambda project: read_cell(project, run, truth, said), show_cell, self.tell_trouble)

    def try_file(self, path: Path, variant: str) -> None:
        """Ask the shipped variant about a file, in a worker thread."""
        results = self._results
        if results is not None and results.chosen is not None:
            run = results.chosen
            self.error.clear()
            self.studio.workspace.ask(
                self, "try", lambda _project: try_file(run, variant, path), self.try_panel.show_answer, self.tell_trouble
            )

    def send_to_queue(self, answer: TryAnswer) -> None:
        """The answer is wrong: queue the file for labelling."""
        done = lambda _sample: self.studio.toast(Text("Sent to the labelling queue"), Text("Label"), lambda: self.studio.go("label"))  # noqa: E731
        self.studio.workspace.change(self, lambda project: send_to_queue(project, answer), frozenset({SAMPLES}), done, self.tell_trouble)


def _answer_cells(sample: Sample) -> tuple[Cell, ...]:
    return (
        Cell(sample.name),
        Cell(sample.label or figures.NONE),
        Cell(sample.predicted or figures.NONE),
        Cell(figures.percent(sample.predicted_score)),
    )


def _matrix_rows(found: Evaluation) -> list[tuple[str, tuple[Cell, ...]]]:
    rows: list[tuple[str, tuple[Cell, ...]]] = []
    for truth, counts in zip(found.labels, found.confusion, strict=True):
        total = sum(counts)
        for said, count in zip(found.labels, counts, strict=True):
            if count:
                cells = (Cell(truth), Cell(said), Cell(figures.count(count)), Cell(figures.percent(count / total)))
                rows.append((f"{truth}\0{said}", cells))
    return rows


def _class_rows(found: Evaluation) -> list[tuple[str, tuple[Cell, ...]]]:
    return [
        (
            name,
            (
                Cell(name),
                Cell(figures.percent(each.precision)),
                Cell(figures.percent(each.recall)),
                Cell(figures.percent(each.f1)),
                Cell(figures.count(each.support)),
            ),
        )
        for name, each in found.per_class.items()
    ]
