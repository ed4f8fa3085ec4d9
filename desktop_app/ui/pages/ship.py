"""Ship: what each variant costs in accuracy, what it saves, and the signed package that goes out."""

from pathlib import Path
from typing import ClassVar

from converters.report import ConversionReport
from desktop_app.data.catalogue import Sample
from desktop_app.jobs.requests import ConvertJob, PackageJob, PublishJob
from desktop_app.ui import figures
from desktop_app.ui.charts.chart_card import ChartCard
from desktop_app.ui.charts.pareto import ParetoPlot
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.pages.keys_card import KeysCard
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.ship_cards import FlippedCard, GateCard, PackageCard, ProofCard
from desktop_app.ui.pages.variant_cells import VARIANT_COLUMNS, bubbles, model_id, variant_rows, variant_title
from desktop_app.ui.questions.shipping import Shipping, read_flipped, read_shipping
from desktop_app.ui.studio import Studio
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice, button, rename_button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.layouts import boxed, column, row, scrolled
from desktop_app.ui.widgets.states import EmptyState
from desktop_app.ui.widgets.tables import Table
from desktop_app.ui.workspace import EVALUATIONS, PACKAGES, RUNS, VARIANTS

SIDE_WIDTH = 300
VARIANTS_SHOWN = 8
CONVERT, BUILD, PUBLISH = "convert", "build", "publish"


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
        self._wanted, self._picked = "", ""
        self.variants = Table(Text("Variants"), VARIANT_COLUMNS, self.pick)
        self.pareto = ParetoPlot(Text("Accuracy against latency"))
        self.pareto_table = Table(Text("Variants as a table"), VARIANT_COLUMNS)
        self.gate, self.package, self.proof = GateCard(), PackageCard(), ProofCard()
        self.keys = KeysCard(self.keys_folder)
        self.flipped = FlippedCard(studio.thumbnails)
        self._lay_out()
        self.empty = self.add_state(self._empty_state())
        self.unconverted = self.add_state(self._unconverted_state())
        self._connect()

    def _connect(self) -> None:
        self.gate.changed.connect(self._show_variants)
        self.run_choice.activated.connect(self._choose)
        self.pareto.chosen.connect(self._pick_title)
        self.keys.make_wanted.connect(self.make_keys)
        self.studio.fleet.changed.connect(self._name_actions)

    @property
    def keys_folder(self) -> Path:
        """Where the signing keys are."""
        return Path(self.studio.preferences.keys_folder).expanduser()

    def _empty_state(self) -> EmptyState:
        go = button(Text("Go to Train"), "chart-line-up", "", lambda: self.studio.go("train"))
        sentence = Text("Train a model first. Then it becomes ONNX and LiteRT, float32 and int8, each measured.")
        return EmptyState("package", Text("Nothing to ship yet"), sentence, go)

    def _unconverted_state(self) -> EmptyState:
        sentence = Text(
            "Convert the run to ONNX and LiteRT, float32 and int8. "
            "Each variant is measured on the test split through the engine of the device."
        )
        return EmptyState("package", Text("This run is not converted yet"), sentence)

    def _lay_out(self) -> None:
        self.variants_card = Card(Text("Variants, measured, not estimated"))
        self.variants_card.add(self.variants)
        self.chart_card = ChartCard(Text("Accuracy against latency; the bubble is the size"), self.pareto, self.pareto_table)
        self.chart_card.export_wanted.connect(lambda suffix, content: self.studio.export(self, suffix, content))
        left = column(self.variants_card, self.chart_card)
        left.setStretch(1, 1)
        cards = column(self.gate, self.package, self.keys, self.proof, self.flipped, None, space=SPACE_M)
        cards.setContentsMargins(0, 0, 10, 0)
        area = scrolled(boxed(cards))
        area.setFixedWidth(SIDE_WIDTH)
        both = row(left, area, space=SPACE_M)
        both.setStretch(0, 1)
        self.content_box.addLayout(both)

    # what is shown

    def refresh(self) -> None:
        """Ask for the chosen run's conversion and the packages."""
        wanted, keys = self._wanted, self.keys_folder
        self.studio.workspace.ask(self, "shipping", lambda project: read_shipping(project, wanted, keys), self._take, self.tell_trouble)

    def _take(self, shipping: Shipping) -> None:
        is_other = self._shipping is None or self._shipping.name != shipping.name
        self._shipping = shipping
        if is_other or not self.package.model.text():
            self.package.model.setText(shipping.packages[0].manifest.name if shipping.packages else model_id(shipping.name))
        self.render_again()

    @property
    def report(self) -> ConversionReport | None:
        """The chosen run's conversion."""
        return self._shipping.conversion if self._shipping is not None else None

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
            self.proof.show_proof(shipping, shipping.conversion)
            self.package.show_packages(shipping.packages, shipping.conversion)
            if self._picked not in shipping.conversion.variants:
                self._picked = _smallest(shipping.conversion)
            self._show_variants()
            self.pick(self._picked)
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

    def _show_variants(self) -> None:
        report = self.report
        if report is None:
            return
        for table in (self.variants, self.pareto_table):
            table.set(variant_rows(report, self.gate.max_loss), self._picked)
        self.variants.fit_height(VARIANTS_SHOWN)
        self.pareto.set(bubbles(report, self.gate.max_loss))
        self.gate.show_report(report, self._picked)

    def pick(self, name: str) -> None:
        """Look at one variant: classes that lost, samples that flipped."""
        report, shipping = self.report, self._shipping
        if report is None or shipping is None or shipping.chosen is None or name not in report.variants:
            return
        self._picked = name
        self.gate.show_report(report, name)
        run, title = shipping.chosen, variant_title(name)
        if name == report.reference:
            self.flipped.show_reference(title)
            return

        def show_flipped(samples: tuple[Sample, ...]) -> None:
            self.flipped.show_samples(title, samples)

        self.studio.workspace.ask(self, "flipped", lambda project: read_flipped(project, run, name), show_flipped, self.tell_trouble)

    def _pick_title(self, title: str) -> None:
        for name in self.report.variants if self.report is not None else ():
            if variant_title(name) == title:
                self._picked = name
                self._show_variants()
                self.pick(name)

    # what can be done

    @property
    def next_action(self) -> str:
        """Which step is next for the chosen run."""
        if self._shipping is None or self.report is None:
            return CONVERT
        return PUBLISH if self._shipping.package_of_run is not None else BUILD

    def _name_actions(self) -> None:
        shipping, action = self._shipping, self.next_action
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
        self._wanted, self._picked = str(self.run_choice.itemData(index)), ""
        self.refresh()

    def convert(self) -> JobHandle | None:
        """Convert the chosen run with the slider's limit."""
        if self._shipping is None or self._shipping.chosen is None:
            return None
        self.error.clear()
        run = self._shipping.chosen.id
        job = ConvertJob(run=run, max_loss=self.gate.max_loss)
        return self.studio.run(job, Text("Conversion of run {run}", run=run), frozenset({VARIANTS}))

    def build(self) -> JobHandle | None:
        """Build and sign the package of the chosen run."""
        shipping = self._shipping
        if shipping is None or shipping.chosen is None or not self._has_passphrase(shipping):
            return None
        self.error.clear()
        run, model, reason = shipping.chosen.id, self.package.model.text().strip(), self.package.override.text().strip()
        job = PackageJob(run=run, model=model, keys_folder=str(self.keys_folder), gate_override=reason)
        secrets = {"passphrase": self.keys.passphrase.text()}
        return self.studio.run(job, Text("Package of run {run}", run=run), frozenset({PACKAGES}), secrets)

    def publish(self) -> JobHandle | None:
        """Publish the newest package of the chosen run to the connected server."""
        shipping, folder = self._shipping, self.studio.workspace.folder
        package = shipping.package_of_run if shipping is not None else None
        if shipping is None or package is None or folder is None:
            return None
        if not self.studio.fleet.is_connected:
            self.studio.toast(Text("Connect to a fleet server first"), Text("Fleet"), lambda: self.studio.go("fleet"))
            return None
        if not self._has_passphrase(shipping):
            return None
        self.error.clear()
        archive = folder / "packages" / package.name
        job = PublishJob(package=str(archive), server=self.studio.fleet.url, keys_folder=str(self.keys_folder))
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
            done = Text("Published {name} version {n}", name=result["name"], n=result["version"])
            self.studio.toast(done, Text("Fleet"), lambda: self.studio.go("fleet"))
            self.studio.fleet.refresh()


def _smallest(report: ConversionReport) -> str:
    """The smallest variant beside the reference."""
    others = [name for name in report.variants if name != report.reference]
    return min(others, key=lambda name: report.files[name].size_bytes, default=report.reference)
