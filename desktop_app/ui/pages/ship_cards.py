"""The cards at the right of the ship page: gate, package, proof, flipped samples."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit, QSlider

from converters.report import ConversionReport
from desktop_app.data.catalogue import Sample
from desktop_app.ui import figures
from desktop_app.ui.grid.fixed import FixedSamples
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.variant_cells import PACKAGE_COLUMNS, class_sentence, gate_sentence, has_failed_gate, package_rows
from desktop_app.ui.questions.shipping import BuiltVersion, Shipping
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import label, line
from desktop_app.ui.widgets.tables import Table

STEPS_PER_POINT = 10
MAX_POINTS = 5
PACKAGES_SHOWN = 4


class GateCard(Card):
    """How many points of accuracy a variant may lose."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(Text("Accuracy gate"), space=8)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, MAX_POINTS * STEPS_PER_POINT)
        self.slider.setValue(STEPS_PER_POINT)
        say(self.slider, Text("How many points of accuracy a variant may lose"), "setAccessibleName")
        self.limit = label("", "strong")
        self.classes, self.note = label("", "small", wrap=True), label("", "small", wrap=True)
        for part in (line(Text("May lose at most"), self.limit), self.slider, self.classes, self.note):
            self.add(part)
        self.slider.valueChanged.connect(lambda _value: self.changed.emit())

    @property
    def max_loss(self) -> float:
        """The limit in points (1.0 is 0.01 of accuracy)."""
        return self.slider.value() / STEPS_PER_POINT

    def show_report(self, report: ConversionReport, picked: str) -> None:
        """Say what the limit means for the report and what the picked variant lost."""
        show(self.limit, Text("{n} points", n=f"{self.max_loss:.1f}"))
        show(self.note, gate_sentence(report, self.max_loss))
        if picked in report.variants:
            show(self.classes, class_sentence(report, picked))


class PackageCard(Card):
    """The registered model's name, the reason of an override, and the packages that were built."""

    def __init__(self) -> None:
        super().__init__(Text("Package"), space=6)
        self.model, self.override = QLineEdit(), QLineEdit()
        for field, text in ((self.model, Text("Registered model")), (self.override, Text("Why the gate is overridden"))):
            say(field, text, "setAccessibleName")
            say(field, text, "setPlaceholderText")
        self.packages = Table(Text("Packages"), PACKAGE_COLUMNS)
        for part in (label(Text("Registered model"), "small"), self.model, self.override, self.packages):
            self.add(part)

    def show_packages(self, packages: tuple[BuiltVersion, ...], report: ConversionReport) -> None:
        """List packages; the reason is asked for only where a gate fails."""
        self.override.setVisible(has_failed_gate(report))
        self.packages.set(package_rows(packages))
        self.packages.setVisible(bool(packages))
        self.packages.fit_height(PACKAGES_SHOWN)


class ProofCard(Card):
    """What lets a device check a version for itself."""

    def __init__(self) -> None:
        super().__init__(Text("Proof that travels with it"), space=6)
        self.calibration, self.golden, self.acceptance = label(""), label(""), label("")
        for text, value in (
            (Text("Calibration samples"), self.calibration),
            (Text("Golden samples"), self.golden),
            (Text("Acceptance set"), self.acceptance),
        ):
            self.add(line(text, value))

    def show_proof(self, shipping: Shipping, report: ConversionReport) -> None:
        """Show counts and the minimum."""
        show(self.calibration, Text("{n}, stratified", n=figures.count(report.calibration_count)))
        package, found, count = shipping.package_of_run, shipping.acceptance, shipping.acceptance_count
        show(self.golden, str(package.manifest.golden_count) if package else Text("with the package"))
        if found is not None:
            show(self.acceptance, Text("{n} · at least {share}", n=count, share=figures.percent(found.minimum_score)))
        else:
            show(self.acceptance, figures.count(count) if count else Text("none frozen"))


class FlippedCard(Card):
    """Samples that a variant answers otherwise than the reference."""

    def __init__(self, thumbnails: Thumbnails) -> None:
        super().__init__(Text("Flipped"), space=6)
        self.samples = FixedSamples()
        self.grid = SampleGrid(Text("Samples that the chosen variant answers otherwise"), thumbnails)
        self.grid.setModel(self.samples)
        self.grid.wish = 52
        self.grid.setFixedHeight(160)
        self.note = label("", "small", wrap=True)
        self.add(self.grid)
        self.add(self.note)

    def show_reference(self, title: str) -> None:
        """The variant with this title is what the others are compared with."""
        self.samples.set(())
        self.grid.hide()
        show(self.note, Text("{name} is the reference that the others are compared with.", name=title))

    def show_samples(self, title: str, samples: tuple[Sample, ...]) -> None:
        """Show the flipped samples of the variant with this title."""
        self.samples.set(samples)
        self.grid.setVisible(bool(samples))
        none = Text("{name} answers every sample as the reference does.", name=title)
        some = Text("{name} answers these otherwise than the reference.", name=title)
        show(self.note, some if samples else none)
