"""Ship: what each variant costs in accuracy, what it saves, and the signed package that goes out."""

import re
from pathlib import Path
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QSlider

from contract.manifest import Variant
from converters.gate import Gate, GateResult, judge
from converters.report import ConversionReport
from desktop_app.data.catalogue import Sample
from desktop_app.jobs.requests import ConvertJob, PackageJob, PublishJob
from desktop_app.ui import figures
from desktop_app.ui.charts.chart_card import ChartCard
from desktop_app.ui.charts.pareto import Bubble, ParetoPlot
from desktop_app.ui.grid.fixed import FixedSamples
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.keys_card import KeysCard
from desktop_app.ui.pages.page import Page
from desktop_app.ui.questions.shipping import BuiltVersion, Shipping, read_flipped, read_shipping
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text, counted
from desktop_app.ui.widgets.buttons import Choice, button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import label, line
from desktop_app.ui.widgets.layouts import boxed, column, row, scrolled
from desktop_app.ui.widgets.states import EmptyState
from desktop_app.ui.widgets.tables import Cell, Column, Table
from desktop_app.ui.workspace import EVALUATIONS, PACKAGES, RUNS, VARIANTS

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
SLIDER_STEPS_PER_POINT = 10
SLIDER_MAX_POINTS = 5
SIDE_WIDTH = 300
CONVERT, BUILD, PUBLISH = "convert", "build", "publish"
PROPER_NAMES = {"onnx": "ONNX", "litert": "LiteRT", "dynamic": "dynamic"}


def variant_title(name: str) -> str:
    """`litert-int8` as `LiteRT int8`."""
    return " ".join(PROPER_NAMES.get(word, word) for word in name.split("-"))


def model_id(name: str) -> str:
    """A registered model's id from a project's name."""
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return kept or "model"


class ShipPage(Page):
    """The primary action is the next step of shipping: convert, build the package, publish."""

    key: ClassVar[str] = "ship"
    title: ClassVar[Text] = Text("Ship")
    icon: ClassVar[str] = "package"
    topics: ClassVar[frozenset[str]] = frozenset({RUNS, VARIANTS, PACKAGES, EVALUATIONS})
    job_names: ClassVar[frozenset[type]] = frozenset({ConvertJob, PackageJob, PublishJob})

    def __init__(self, studio: Studio) -> None:
        self.run_choice = Choice(Text("Run"))
        self.convert_button = button(Text("Convert again"), "arrows-clockwise", "", self.convert)
        self.build_button = button(Text("Build package"), "archive-box", "", self.build)
        self.primary = button(Text("Convert"), "rocket-launch", "primary", self.act)
        super().__init__(studio, (self.run_choice, self.convert_button, self.build_button, self.primary))
        self._shipping: Shipping | None = None
        self._wanted = ""
        self._picked = ""
        self.variants = Table(Text("Variants"), VARIANT_COLUMNS, self.pick)
        self.pareto = ParetoPlot(Text("Accuracy against latency"))
        self.pareto_table = Table(Text("Variants as a table"), VARIANT_COLUMNS)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, SLIDER_MAX_POINTS * SLIDER_STEPS_PER_POINT)
        self.slider.setValue(SLIDER_STEPS_PER_POINT)
        say(self.slider, Text("How many points of accuracy a variant may lose"), "setAccessibleName")
        self.limit = label("", "strong")
        self.per_class, self.gate_note = label("", "small", wrap=True), label("", "small", wrap=True)
        self.calibration, self.golden, self.acceptance = label(""), label(""), label("")
        self.flipped = FixedSamples()
        self.flipped_grid = SampleGrid(Text("Samples that the chosen variant answers otherwise"), studio.thumbnails)
        self.flipped_note = label("", "small", wrap=True)
        self.model = QLineEdit()
        self.override = QLineEdit()
        self.keys = KeysCard(self.keys_folder)
        self.packages = Table(Text("Packages"), PACKAGE_COLUMNS)
        self._lay_out()
        self.empty = self.add_state(self._empty_state())
        self.unconverted = self.add_state(self._unconverted_state())
        self.slider.valueChanged.connect(lambda _value: self._show_variants())
        self.run_choice.activated.connect(self._choose)
        self.pareto.chosen.connect(self._pick_title)
        self.keys.make_wanted.connect(self.make_keys)
        studio.fleet.changed.connect(self._name_actions)
        self.model.textEdited.connect(lambda _text: self._name_actions())

    @property
    def keys_folder(self) -> Path:
        """Where the signing keys are."""
        return Path(self.studio.preferences.keys_folder).expanduser()

    def _empty_state(self) -> EmptyState:
        go = button(Text("Go to Train"), "chart-line-up", "", lambda: self.studio.go("train"))
        return EmptyState(
            "package",
            Text("Nothing to ship yet"),
            Text("Train a model first. Then it becomes ONNX and LiteRT, float32 and int8, each measured."),
            go,
        )

    def _unconverted_state(self) -> EmptyState:
        sentence = Text(
            "Convert the run to ONNX and LiteRT, float32 and int8. Each variant is measured on the test split through the engine of the device."
        )
        self.convert_first = button(Text("Convert"), "rocket-launch", "", self.convert)
        return EmptyState("package", Text("This run is not converted yet"), sentence, self.convert_first)

    def _lay_out(self) -> None:
        self.variants_card = Card(Text("Variants, measured, not estimated"))
        self.variants_card.add(self.variants)
        self.chart_card = ChartCard(Text("Accuracy against latency; the bubble is the size"), self.pareto, self.pareto_table)
        self.chart_card.export_wanted.connect(lambda suffix, content: self.studio.export(self, suffix, content))
        left = column(self.variants_card, self.chart_card)
        left.setStretch(1, 1)
        side = boxed(
            column(self._gate_card(), self._package_card(), self.keys, self._proof_card(), self._flipped_card(), None, space=SPACE_M)
        )
        side.layout().setContentsMargins(0, 0, 10, 0)  # type: ignore[union-attr]
        area = scrolled(side)
        area.setFixedWidth(SIDE_WIDTH)
        both = row(left, area, space=SPACE_M)
        both.setStretch(0, 1)
        self.content_box.addLayout(both)

    def _gate_card(self) -> Card:
        card = Card(Text("Accuracy gate"), space=8)
        for part in (line(Text("May lose at most"), self.limit), self.slider, self.per_class, self.gate_note):
            card.add(part)
        return card

    def _proof_card(self) -> Card:
        card = Card(Text("Proof that travels with it"), space=6)
        for text, value in (
            (Text("Calibration samples"), self.calibration),
            (Text("Golden samples"), self.golden),
            (Text("Acceptance set"), self.acceptance),
        ):
            card.add(line(text, value))
        return card

    def _flipped_card(self) -> Card:
        self.flipped_card = Card(Text("Flipped"), space=6)
        self.flipped_grid.setModel(self.flipped)
        self.flipped_grid.wish = 52
        self.flipped_grid.setFixedHeight(160)
        self.flipped_card.add(self.flipped_grid)
        self.flipped_card.add(self.flipped_note)
        return self.flipped_card

    def _package_card(self) -> Card:
        card = Card(Text("Package"), space=6)
        for field, text in ((self.model, Text("Registered model")), (self.override, Text("Why the gate is overridden"))):
            say(field, text, "setAccessibleName")
            say(field, text, "setPlaceholderText")
        card.add(label(Text("Registered model"), "small"))
        card.add(self.model)
        card.add(self.override)
        card.add(self.packages)
        return card

    # what is shown

    def refresh(self) -> None:
        """Ask for the chosen run's conversion and the packages."""
        wanted, keys = self._wanted, self.keys_folder
        self.studio.workspace.ask(self, "shipping", lambda project: read_shipping(project, wanted, keys), self._take, self.tell_trouble)

    def _take(self, shipping: Shipping) -> None:
        self._shipping = shipping
        if not self.model.text():
            self.model.setText(shipping.packages[0].manifest.name if shipping.packages else model_id(shipping.name))
        self.render_again()

    def render_again(self) -> None:
        """Show variants, chart, gate, packages."""
        shipping = self._shipping
        if shipping is None:
            return
        self._show_runs(shipping)
        self.keys.show_keys(has_keys=shipping.has_keys)
        if shipping.chosen is None:
            self.show_state(self.empty)
        elif shipping.conversion is None:
            self.show_state(self.unconverted)
        else:
            self.show_content()
            self._show_proof(shipping, shipping.conversion)
            self._show_packages(shipping.packages)
            self._show_variants()
            if not self._picked or self._picked not in shipping.conversion.variants:
                self._pick_default(shipping.conversion)
        self._name_actions()

    def _show_runs(self, shipping: Shipping) -> None:
        self.run_choice.setVisible(bool(shipping.runs))
        self.run_choice.clear()
        for run in shipping.runs:
            self.run_choice.addItem(run.id, run.id)
        chips: list[tuple[Text | str, str]] = []
        if shipping.chosen is not None:
            self.run_choice.setCurrentText(shipping.chosen.id)
            chips.append((Text("run {run}", run=shipping.chosen.id), "neutral"))
        if shipping.conversion is not None:
            chips.append((Text("measured on {count} samples", count=figures.count(shipping.conversion.evaluation_count)), "neutral"))
        self.header.set_chips(chips)

    @property
    def max_loss(self) -> float:
        """Points of accuracy that the slider allows to lose."""
        return self.slider.value() / SLIDER_STEPS_PER_POINT

    def verdict(self, report: ConversionReport, name: str) -> GateResult | None:
        """What the slider's gate says of a variant; None for the reference, or where nothing was measured."""
        evaluation = report.variants[name].evaluation
        return None if evaluation is None or name == report.reference else judge(evaluation, Gate(self.max_loss / 100))

    def _show_variants(self) -> None:
        shipping = self._shipping
        if shipping is None or shipping.conversion is None:
            return
        report = shipping.conversion
        show(self.limit, counted(round(self.max_loss * 10), Text("0.1 points"), Text("{n} points", n=f"{self.max_loss:.1f}")))
        rows = [(name, self._variant_cells(report, name, variant)) for name, variant in report.variants.items()]
        rows += [(name, _refused_cells(name, reason)) for name, reason in report.refused.items()]
        for table in (self.variants, self.pareto_table):
            table.set(rows, self._picked)
        self.variants.fit_height(6)
        self.pareto.set(tuple(self._bubbles(report)))
        self._show_gate_note(report)

    def _variant_cells(self, report: ConversionReport, name: str, variant: Variant) -> tuple[Cell, ...]:
        found = variant.evaluation
        verdict = self.verdict(report, name)
        source = Text("measured on {machine}, {time}", machine=figures.one_line(report.machine), time=figures.local_time(report.created_at))
        gate = Cell(Text("reference"), "neutral") if verdict is None else Cell(Text("ok"), "good", tip=verdict.reason)
        if verdict is not None and not verdict.passed:
            gate = Cell(Text("over the limit"), "bad", tip=verdict.reason)
        is_reference = name == report.reference
        flipped = figures.NONE if is_reference else figures.count(len(report.flipped.get(name, ())))
        return (
            Cell(variant_title(name), tip=source),
            Cell(figures.percent(found.score if found else None), tip=source),
            Cell(figures.NONE if is_reference else figures.points(found.change if found else None), tip=source),
            Cell(figures.size(report.files[name].size_bytes)),
            Cell(figures.milliseconds(found.latency_p50_ms if found else None), tip=source),
            Cell(figures.milliseconds(found.latency_p95_ms if found else None), tip=source),
            Cell(flipped),
            gate,
        )

    def _bubbles(self, report: ConversionReport) -> list[Bubble]:
        found = []
        for name, variant in report.variants.items():
            evaluation, verdict = variant.evaluation, self.verdict(report, name)
            if evaluation is not None:
                is_refused = verdict is not None and not verdict.passed
                size = report.files[name].size_bytes
                found.append(Bubble(variant_title(name), evaluation.latency_p50_ms, evaluation.score * 100, size, is_refused))
        return found

    def _show_gate_note(self, report: ConversionReport) -> None:
        verdicts = {name: verdict.passed for name in report.variants if (verdict := self.verdict(report, name)) is not None}
        saved = {name: report.gates[name].passed for name in verdicts if name in report.gates}
        is_other = any(saved[name] != verdicts[name] for name in saved)
        failed = [variant_title(name) for name, passed in verdicts.items() if not passed]
        self.override.setVisible(any(not passed for passed in saved.values()))
        if is_other:
            show(self.gate_note, Text("Convert again to put this limit in force."))
        elif failed:
            show(self.gate_note, Text("Over the limit: {names}", names=", ".join(failed)))
        else:
            show(self.gate_note, Text("Every variant is within the limit."))

    def _show_proof(self, shipping: Shipping, report: ConversionReport) -> None:
        show(self.calibration, Text("{n}, stratified", n=figures.count(report.calibration_count)))
        package = shipping.package_of_run
        show(self.golden, str(package.manifest.golden_count) if package else Text("with the package"))
        found = shipping.acceptance
        if found is not None:
            show(self.acceptance, Text("{n} · at least {share}", n=shipping.acceptance_count, share=figures.percent(found.minimum_score)))
        else:
            show(self.acceptance, figures.count(shipping.acceptance_count) if shipping.acceptance_count else Text("none frozen"))

    def _show_packages(self, packages: tuple[BuiltVersion, ...]) -> None:
        rows = []
        for package in packages:
            tip = Text("run {run}, digest {digest}…", run=package.manifest.lineage.run, digest=package.digest[:16])
            title = Text("{model} version {n}", model=package.manifest.name, n=package.manifest.version)
            rows.append((package.name, (Cell(title, tip=tip), Cell(figures.size(package.size_bytes)))))
        self.packages.set(rows)
        self.packages.setVisible(bool(packages))
        self.packages.fit_height(4)

    def pick(self, name: str) -> None:
        """Look at one variant: classes that lost, samples that flipped."""
        shipping = self._shipping
        if shipping is None or shipping.conversion is None or name not in shipping.conversion.variants or shipping.chosen is None:
            return
        self._picked = name
        evaluation = shipping.conversion.variants[name].evaluation
        changes = sorted((evaluation.class_change if evaluation else {}).items(), key=lambda pair: pair[1])
        worst = [f"{figures.one_line(label_, 16)} {figures.points(change)}" for label_, change in changes[:3] if change < 0]
        sentence = Text("{name}, recall by class: {worst} points", name=variant_title(name), worst=", ".join(worst))
        show(self.per_class, sentence if worst else Text("{name}: no class lost recall", name=variant_title(name)))
        run = shipping.chosen
        self.studio.workspace.ask(self, "flipped", lambda project: read_flipped(project, run, name), self._show_flipped, self.tell_trouble)

    def _pick_default(self, report: ConversionReport) -> None:
        others = [name for name in report.variants if name != report.reference]
        self.pick(min(others, key=lambda name: report.files[name].size_bytes, default=report.reference))
        self.variants.set([(key, cells) for key, cells in self.variants.rows.rows], self._picked)

    def _pick_title(self, title: str) -> None:
        shipping = self._shipping
        names = shipping.conversion.variants if shipping is not None and shipping.conversion is not None else {}
        for name in names:
            if variant_title(name) == title:
                self.variants.set([(key, cells) for key, cells in self.variants.rows.rows], name)
                self.pick(name)

    def _show_flipped(self, samples: tuple[Sample, ...]) -> None:
        self.flipped.set(samples)
        self.flipped_grid.setVisible(bool(samples))
        title = variant_title(self._picked)
        none = Text("{name} answers every sample as the reference does.", name=title)
        some = Text("{name} answers these otherwise than the reference.", name=title)
        show(self.flipped_note, some if samples else none)

    # what can be done

    @property
    def next_action(self) -> str:
        """Which step is next for the chosen run."""
        shipping = self._shipping
        if shipping is None or shipping.conversion is None:
            return CONVERT
        return PUBLISH if shipping.package_of_run is not None else BUILD

    def _name_actions(self) -> None:
        shipping = self._shipping
        action = self.next_action
        package = shipping.package_of_run if shipping is not None else None
        texts = {
            CONVERT: Text("Convert"),
            BUILD: Text("Build package"),
            PUBLISH: Text("Publish version {n}", n=package.manifest.version if package else 1),
        }
        rename_button(self.primary, texts[action])
        self.primary.setEnabled(shipping is not None and shipping.chosen is not None)
        self.convert_button.setVisible(action != CONVERT)
        self.build_button.setVisible(action == PUBLISH)

    def act(self) -> None:
        """The primary action."""
        {CONVERT: self.convert, BUILD: self.build, PUBLISH: self.publish}[self.next_action]()

    def _choose(self, index: int) -> None:
        self._wanted = str(self.run_choice.itemData(index))
        self._picked = ""
        self.refresh()

    def convert(self) -> JobHandle | None:
        """Convert the chosen run with the slider's limit."""
        if self._shipping is None or self._shipping.chosen is None:
            return None
        self.error.clear()
        run = self._shipping.chosen.id
        job = ConvertJob(run=run, max_loss=self.max_loss)
        return self.studio.run(job, Text("Conversion of run {run}", run=run), frozenset({VARIANTS}))

    def build(self) -> JobHandle | None:
        """Build and sign the package of the chosen run."""
        shipping = self._shipping
        if shipping is None or shipping.chosen is None or not self._has_passphrase(shipping):
            return None
        self.error.clear()
        job = PackageJob(
            run=shipping.chosen.id,
            model=self.model.text().strip(),
            keys_folder=str(self.keys_folder),
            gate_override=self.override.text().strip(),
        )
        title = Text("Package of run {run}", run=shipping.chosen.id)
        return self.studio.run(job, title, frozenset({PACKAGES}), {"passphrase": self.keys.passphrase.text()})

    def publish(self) -> JobHandle | None:
        """Publish the newest package of the chosen run to the connected server."""
        shipping = self._shipping
        package = shipping.package_of_run if shipping is not None else None
        folder = self.studio.workspace.folder
        if shipping is None or package is None or folder is None or not self._has_passphrase(shipping):
            return None
        if not self.studio.fleet.is_connected:
            self.studio.toast(Text("Connect to a fleet server first"), Text("Fleet"), lambda: self.studio.go("fleet"))
            return None
        job = PublishJob(package=str(folder / "packages" / package.name), server=self.studio.fleet.url, keys_folder=str(self.keys_folder))
        secrets = {"passphrase": self.keys.passphrase.text(), "token": self.studio.fleet.token}
        return self.studio.run(job, Text("Publishing {name}", name=package.name), frozenset(), secrets)

    def _has_passphrase(self, shipping: Shipping) -> bool:
        if not shipping.has_keys:
            self.error.tell(Text("There are no signing keys yet. Choose a passphrase on the right and make them."))
        elif not self.keys.passphrase.text():
            self.error.tell(Text("Type the passphrase of the signing keys on the right; the package is signed with it."))
        else:
            return True
        self.keys.passphrase.setFocus()
        return False

    def make_keys(self, passphrase: str) -> None:
        """Make the signing keys once."""
        from desktop_app.release.keys import init_keys

        folder = self.keys_folder

        def done(_store: object) -> None:
            self.studio.toast(Text("Keys made. Keep the two root keys in {folder} elsewhere.", folder=f"{folder}/move-away"))
            self.refresh()

        self.studio.workspace.work(self, "keys", lambda: init_keys(folder, passphrase), done, self.tell_trouble)

    def job_done(self, handle: JobHandle) -> None:
        """Say what was built or published."""
        result = getattr(handle.outcome, "result", None)
        if isinstance(handle.job, PackageJob) and result:
            self.studio.toast(Text("Built {model} version {n}", model=result["model"], n=result["version"]))
        elif isinstance(handle.job, PublishJob) and result:
            self.studio.toast(
                Text("Published {name} version {n}", name=result["name"], n=result["version"]),
                Text("Fleet"),
                lambda: self.studio.go("fleet"),
            )
            self.studio.fleet.refresh()


def _refused_cells(name: str, reason: str) -> tuple[Cell, ...]:
    dashes = tuple(Cell(figures.NONE) for _ in range(6))
    return (Cell(variant_title(name), tip=figures.one_line(reason)), *dashes, Cell(Text("refused"), "bad", tip=figures.one_line(reason)))
