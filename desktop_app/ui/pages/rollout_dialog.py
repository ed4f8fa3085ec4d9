"""What an operator is asked before a rollout starts; the sentence at the end says what will happen."""

from PySide6.QtWidgets import QDialog, QFormLayout, QLineEdit, QVBoxLayout, QWidget

from contract.rest import DeviceView, GateSpec, ModelView, PhaseSpec, RolloutSpec
from desktop_app.ui.language import say, show
from desktop_app.ui.pages.freeze_card import spin
from desktop_app.ui.tokens import SPACE_L, SPACE_S, SPACE_XL
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import Choice, button
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import row

_BP = 100
SMALL_FLEET, FIRST_SHARE, FIRST_SHARE_SMALL = 10, 10, 34  # percent; of three devices one goes first


class RolloutDialog(QDialog):
    """The one dialog that asks: a rollout can not be undone, only rolled back."""

    def __init__(self, parent: QWidget, models: tuple[ModelView, ...], devices: tuple[DeviceView, ...]) -> None:
        super().__init__(parent)
        say(self, Text("New rollout"), "setWindowTitle")
        self.setMinimumWidth(520)
        self._models, self._devices = models, devices
        self.model, self.version, self.control = Choice(Text("Model")), Choice(Text("Version")), Choice(Text("Control version"))
        self.name, self.application = QLineEdit(), QLineEdit()
        self.application.setPlaceholderText("read-digits:1")
        self.canary = spin(
            Text("First phase, share of the devices"), FIRST_SHARE_SMALL if len(devices) < SMALL_FLEET else FIRST_SHARE, 1, 100, " %"
        )
        self.bake = spin(Text("Time in the first phase"), 60, 0, 90 * 86400, " s")
        self.tolerated = spin(Text("Failures that are tolerated"), 5, 1, 99, " %")
        self.max_failures = spin(Text("Stop after this many failed devices"), 2, 0, 10_000)
        self.what = label("", "muted", wrap=True)
        self.start = button(Text("Start the rollout"), "rocket-launch", "primary", self.accept)
        self._lay_out()
        self.model.addItems([model.model for model in models])
        self.model.currentIndexChanged.connect(lambda _at: self._list_versions())
        for changed in (
            self.version.currentIndexChanged,
            self.control.currentIndexChanged,
            self.canary.valueChanged,
            self.bake.valueChanged,
        ):
            changed.connect(lambda _value: self._say_what())
        self._list_versions()

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_S)
        fields: tuple[tuple[Text, QWidget], ...] = (
            (Text("Model"), self.model),
            (Text("Version"), self.version),
            (Text("Control version (A/B)"), self.control),
            (Text("Name"), self.name),
            (Text("Application, name:version (optional)"), self.application),
            (Text("First phase, share of the devices"), self.canary),
            (Text("Time in the first phase"), self.bake),
            (Text("Failures that are tolerated"), self.tolerated),
            (Text("Stop after this many failed devices"), self.max_failures),
        )
        for text, field in fields:
            say(field, text, "setAccessibleName")
            caption = label(text, "muted")
            caption.setBuddy(field)
            form.addRow(caption, field)
        cancel = button(Text("Cancel"), "", "", self.reject)
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_XL, SPACE_XL, SPACE_XL, SPACE_L)
        box.setSpacing(SPACE_L)
        box.addWidget(label(Text("New rollout"), "headline"))
        box.addLayout(form)
        box.addWidget(self.what)
        box.addLayout(row(None, cancel, self.start))

    def _list_versions(self) -> None:
        at = self.model.currentIndex()
        numbers = sorted((v.version for v in self._models[at].versions), reverse=True) if 0 <= at < len(self._models) else []
        self.version.clear()
        self.version.addItems([str(number) for number in numbers])
        self.control.clear()
        self.control.addItem(str(Text("none: all devices get the version")))
        self.control.addItems([str(number) for number in numbers])
        self.start.setEnabled(bool(numbers))
        self._say_what()

    def _say_what(self) -> None:
        version = self.version.currentText()
        if not version:
            show(self.what, Text("Nothing is published to this server yet. Publish a package on the Ship page first."))
            return
        count = len(self._devices)
        first = max(1, round(count * self.canary.value() / 100))
        self.name.setPlaceholderText(f"{self.model.currentText()}-v{version}")
        sentence = Text(
            "{first} of {count} devices get version {version} first. "
            "If the gates pass for {seconds} s, the rest follow; if they fail, all go back.",
            first=first,
            count=count,
            version=version,
            seconds=self.bake.value(),
        )
        show(self.what, sentence)

    def spec(self) -> RolloutSpec:
        """The rollout that the fields describe."""
        version = int(self.version.currentText())
        canary = self.canary.value() * _BP
        phases = (
            (PhaseSpec(canary, float(self.bake.value())), PhaseSpec(100 * _BP))
            if canary < 100 * _BP
            else (PhaseSpec(100 * _BP, float(self.bake.value())),)
        )
        control = int(self.control.currentText()) if self.control.currentIndex() > 0 else None
        application, _, number = self.application.text().strip().partition(":")
        return RolloutSpec(
            name=self.name.text().strip() or self.name.placeholderText(),
            model=self.model.currentText(),
            version=version,
            phases=phases,
            control_version=control,
            application=application,
            application_version=int(number) if number.isdigit() else int(bool(application)),
            gates=GateSpec(tolerated_failure_share=self.tolerated.value() / 100, max_failures=self.max_failures.value()),
        )
