"""Train: choose a recipe, watch the curves, come back to earlier runs."""

from typing import ClassVar

from desktop_app.jobs.events import Cancelled, Event, Message, Metric
from desktop_app.jobs.requests import TrainJob
from desktop_app.training.events import EpochPoint
from desktop_app.training.runs import DONE, RESUMABLE, Run
from desktop_app.ui import figures
from desktop_app.ui.charts.chart_card import ChartCard
from desktop_app.ui.charts.curves import Curve, CurvesPlot
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.pages.next_step import task_name
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.recipe_card import RecipeCard, SettingsCard
from desktop_app.ui.questions.training import Training, read_training
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.cards import Card, FigureCard
from desktop_app.ui.widgets.layouts import boxed, column, emptied, row
from desktop_app.ui.widgets.states import EmptyState
from desktop_app.ui.widgets.tables import Cell, Column, Table
from desktop_app.ui.workspace import RUNS, VERSIONS

STATES: dict[str, tuple[Text, str]] = {
    "queued": (Text("queued"), "neutral"),
    "running": (Text("running"), "accent"),
    "done": (Text("done"), "good"),
    "failed": (Text("failed"), "bad"),
    "cancelled": (Text("resumable"), "caution"),
    "interrupted": (Text("resumable"), "caution"),
}
LIST_COLUMNS = (
    Column(Text("Run")),
    Column(Text("Recipe"), stretch=True),
    Column(Text("Seed"), is_number=True),
    Column(Text("Epochs"), is_number=True),
    Column(Text("Validation"), is_number=True),
    Column(Text("Time"), is_number=True),
    Column(Text("Data"), is_number=True),
    Column(Text("State")),
)
CURVE_COLUMNS = (
    Column(Text("Epoch"), is_number=True),
    Column(Text("Training loss"), is_number=True),
    Column(Text("Validation loss"), is_number=True),
    Column(Text("Validation accuracy"), is_number=True),
)


class TrainPage(Page):
    """The primary action starts a run; the newest run, or the one that is chosen, is shown."""

    key: ClassVar[str] = "train"
    title: ClassVar[Text] = Text("Train")
    icon: ClassVar[str] = "chart-line-up"
    topics: ClassVar[frozenset[str]] = frozenset({RUNS, VERSIONS})
    job_names: ClassVar[frozenset[type]] = frozenset({TrainJob})

    def __init__(self, studio: Studio) -> None:
        self.resume_button = button(Text("Resume"), "arrows-clockwise", "", self.resume)
        self.evaluate_button = button(Text("Evaluate"), "target", "", lambda: studio.go("evaluate"))
        self.primary = button(Text("Train"), "play", "primary", self.start)
        super().__init__(studio, (self.resume_button, self.evaluate_button, self.primary))
        self._training: Training | None = None
        self._chosen = ""
        self._architecture = ""
        self.cards: dict[str, RecipeCard] = {}
        self.recipes = column(space=8)
        self.settings = SettingsCard()
        self.accuracy = FigureCard(Text("Validation accuracy"))
        self.epoch = FigureCard(Text("Epoch"))
        self.pace = FigureCard(Text("Seconds per epoch"))
        self.best = FigureCard(Text("Best epoch"))
        self.accuracy_plot = CurvesPlot(Text("Validation accuracy by epoch"), Text("epoch"), Text("accuracy (%)"))
        self.loss_plot = CurvesPlot(Text("Loss by epoch"), Text("epoch"), Text("cross-entropy (nats)"))
        self.curve_tables = tuple(Table(Text("Learning curve as a table"), CURVE_COLUMNS) for _ in range(2))
        self.runs = Table(Text("Runs"), LIST_COLUMNS, self.choose_run)
        self._lay_out()
        self.empty = self.add_state(self._empty_state())
        self.settings.changed.connect(self._show_estimate)
        studio.jobs.event_came.connect(self._follow)

    def _empty_state(self) -> EmptyState:
        go = button(Text("Go to Data"), "image", "", lambda: self.studio.go("data"))
        sentence = Text("Training reads a frozen dataset version, so that a run can be repeated. Freeze one on the data page.")
        return EmptyState("snowflake", Text("No dataset version yet"), sentence, go)

    def _lay_out(self) -> None:
        recipes = boxed(column(self.recipes, self.settings, None, space=SPACE_M))
        recipes.setFixedWidth(272)
        figure_cards = row(self.accuracy, self.epoch, self.pace, self.best, space=SPACE_M)
        self.charts = (
            ChartCard(Text("Validation accuracy"), self.accuracy_plot, self.curve_tables[0]),
            ChartCard(Text("Loss"), self.loss_plot, self.curve_tables[1]),
        )
        charts = row(*self.charts, space=SPACE_M)
        for chart in self.charts:
            chart.export_wanted.connect(self.export)
        runs = Card(Text("Runs"))
        runs.add(self.runs, 1)
        right = column(figure_cards, charts, runs)
        right.setStretch(1, 3)
        right.setStretch(2, 2)
        line = row(recipes, right, space=SPACE_M)
        line.setStretch(1, 1)
        self.content_box.addLayout(line)

    # what is shown

    def refresh(self) -> None:
        """Ask for runs and the chosen run's curve."""
        chosen = self._chosen
        self.studio.workspace.ask(self, "training", lambda project: read_training(project, chosen), self._take, self.tell_trouble)

    def _take(self, training: Training) -> None:
        self._training = training
        self.render_again()

    def render_again(self) -> None:
        """Show recipes, figures, curves and runs."""
        training = self._training
        if training is None:
            return
        if training.versions:
            self.show_content()
        else:
            self.show_state(self.empty)
        self.primary.setEnabled(bool(training.versions))
        newest = training.versions[0] if training.versions else None
        version = Text("data version {n}", n=newest.number) if newest else Text("no version frozen")
        self.header.set_chips([(task_name(training.task), "neutral"), (version, "neutral" if newest else "caution")])
        self._list_recipes(training)
        self._show_run(training)
        self._list_runs(training)

    def _list_recipes(self, training: Training) -> None:
        names = [architecture.name for architecture in training.architectures]
        if list(self.cards) != names:
            emptied(self.recipes)
            self.cards = {a.name: RecipeCard(a, is_default=at == 0) for at, a in enumerate(training.architectures)}
            for card in self.cards.values():
                self.recipes.addWidget(card)
                card.chosen.connect(self.choose_architecture)
            if names:
                self.choose_architecture(names[0])
        for name, card in self.cards.items():
            reached = [r.state.validation_accuracy for r in training.runs if r.recipe.architecture == name and r.state.validation_accuracy]
            card.show_measured(Text("best so far {share}", share=figures.percent(max(reached))) if reached else None)
        self._show_estimate()

    def choose_architecture(self, name: str) -> None:
        """Choose a recipe."""
        self._architecture = name
        for other, card in self.cards.items():
            card.set_chosen(is_chosen=other == name)
        self.settings.suit(self.cards[name].architecture)

    def _show_estimate(self) -> None:
        if self._training is not None and self._architecture in self.cards:
            self.settings.show_estimate(self._training, self.cards[self._architecture].architecture)

    def _show_run(self, training: Training) -> None:
        run, points = training.chosen, training.points
        self.resume_button.setVisible(run is not None and run.state.state in RESUMABLE)
        self.evaluate_button.setVisible(run is not None and run.state.state == DONE)
        last = points[-1] if points else None
        best = next((point for point in reversed(points) if point.best), None)
        source = Text("run {run}", run=run.id) if run else ""
        self.accuracy.set(figures.percent(last.validation_accuracy if last else None), source, source)
        epochs = run.recipe.epochs if run else 0
        note = STATES[run.state.state][0] if run else Text("no run yet")
        self.epoch.set(f"{last.epoch if last else 0} / {epochs}" if run else figures.NONE, note, source)
        mean = sum(p.seconds for p in points) / len(points) if points else None
        threads = Text("{n} threads", n=run.recipe.threads) if run else ""
        self.pace.set(figures.NONE if mean is None else f"{mean:.2f}", threads, source)
        reached = Text("epoch {n}, whose weights are kept", n=best.epoch) if best else ""
        self.best.set(figures.percent(best.validation_accuracy if best else None), reached, source)
        self._draw(points, epochs)

    def _draw(self, points: tuple[EpochPoint, ...], epochs: int) -> None:
        rated = [p for p in points if p.validation_accuracy is not None]
        lossy = [p for p in points if p.validation_loss is not None]
        x = tuple(float(p.epoch) for p in rated)
        accuracy = Curve(Text("validation"), x, tuple(100 * float(p.validation_accuracy or 0.0) for p in rated))
        train = Curve(Text("train"), tuple(float(p.epoch) for p in points), tuple(p.train_loss for p in points))
        validation = Curve(Text("validation"), tuple(float(p.epoch) for p in lossy), tuple(float(p.validation_loss or 0.0) for p in lossy))
        self.accuracy_plot.set((accuracy,), float(epochs or 1))
        self.loss_plot.set((train, validation), float(epochs or 1))
        for table in self.curve_tables:
            table.set([(str(p.epoch), _curve_cells(p)) for p in points])

    def _list_runs(self, training: Training) -> None:
        rows = [(run.id, _run_cells(run, training.version_number(run))) for run in training.runs]
        self.runs.set(rows, training.chosen.id if training.chosen else "")

    # what can be done

    def choose_run(self, run_id: str) -> None:
        """Show another run."""
        self._chosen = run_id
        self.refresh()

    def start(self) -> JobHandle:
        """The primary action: train by the chosen recipe on the newest version."""
        self.error.clear()
        architecture = self.cards[self._architecture].architecture
        recipe = self.settings.wishes(architecture)
        self._chosen = ""
        return self.studio.run(TrainJob(recipe=recipe), Text("Training of {name}", name=architecture.title), frozenset({RUNS}))

    def resume(self) -> None:
        """Go on with the chosen run from its last epoch."""
        training = self._training
        if training is not None and training.chosen is not None:
            run = training.chosen
            self.studio.run(TrainJob(run_id=run.id), Text("Resuming run {run}", run=run.id), frozenset({RUNS}))

    def export(self, suffix: str, content: bytes) -> None:
        """Save a chart or its table."""
        self.studio.export(self, suffix, content)

    def _follow(self, handle: JobHandle, event: Event) -> None:
        """Read the run again at each epoch: its own record is what is shown."""
        if isinstance(handle.job, TrainJob) and isinstance(event, Metric | Message):
            self.refresh()

    def job_done(self, handle: JobHandle) -> None:
        """Offer the next step."""
        if isinstance(handle.outcome, Cancelled):
            self.studio.toast(Text("Training stopped; the run can be resumed from its last epoch"))
        else:
            self.studio.toast(Text("The run is done"), Text("Evaluate"), lambda: self.studio.go("evaluate"))


def _curve_cells(point: EpochPoint) -> tuple[Cell, ...]:
    loss = figures.NONE if point.validation_loss is None else f"{point.validation_loss:.4f}"
    return Cell(str(point.epoch)), Cell(f"{point.train_loss:.4f}"), Cell(loss), Cell(figures.percent(point.validation_accuracy))


def _run_cells(run: Run, version: int | None) -> tuple[Cell, ...]:
    name, tone = STATES[run.state.state]
    fault = run.recipe.label_permutation_seed is not None
    recipe = Text("{name}, permuted labels (fault injection)", name=run.recipe.architecture) if fault else run.recipe.architecture
    return (
        Cell(run.id.partition("-")[0], tip=run.id),
        Cell(recipe),
        Cell(str(run.recipe.seed)),
        Cell(f"{run.state.epochs_done} / {run.recipe.epochs}"),
        Cell(figures.percent(run.state.validation_accuracy)),
        Cell(figures.duration(run.state.seconds) if run.state.seconds else figures.NONE),
        Cell(f"v{version}" if version else figures.NONE),
        Cell(name, tone, tip=figures.one_line(run.state.error)),
    )
