"""A card per architecture to choose from, and the few settings of a recipe."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QVBoxLayout

from desktop_app.training.architecture import Architecture
from desktop_app.ui.language import show
from desktop_app.ui.pages.freeze_card import SEED_MAX, spin
from desktop_app.ui.questions.training import Training, is_network
from desktop_app.ui.tokens import SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import chip, label, set_tone
from desktop_app.ui.widgets.layouts import row

SUMMARIES = {
    "small-cnn": Text("Plain convolutions. Trains in seconds, quantizes well."),
    "resnet8": Text("Residual blocks. Better on photos, several times dearer."),
    "logistic-regression": Text("A weight per column. The baseline that others must beat."),
    "random-forest": Text("Many trees that vote. Sound without tuning."),
    "gradient-boosting": Text("Trees that correct each other. Usually the most accurate on tables."),
}


class RecipeCard(QFrame):
    """One architecture; a click or Space chooses it."""

    chosen = Signal(str)

    def __init__(self, architecture: Architecture, *, is_default: bool) -> None:
        super().__init__()
        self.architecture = architecture
        self.setProperty("role", "choice-card")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.measured = chip("")
        self.measured.hide()
        head = row(label(architecture.title, "card-title"), None)
        if is_default:
            head.addWidget(chip(Text("start here"), "good"))
        box = QVBoxLayout(self)
        box.setContentsMargins(14, SPACE_M, SPACE_M, SPACE_M)
        box.setSpacing(4)
        box.addLayout(head)
        box.addWidget(label(SUMMARIES.get(architecture.name, architecture.summary), "muted", wrap=True))
        box.addLayout(row(self.measured, None))
        self.setAccessibleName(architecture.title)

    def show_measured(self, text: Text | None) -> None:
        """Show what earlier runs reached."""
        self.measured.setVisible(text is not None)
        if text is not None:
            show(self.measured, text)

    def set_chosen(self, *, is_chosen: bool) -> None:
        """Mark it."""
        self.setProperty("chosen", is_chosen)
        set_tone(self, "")

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """Choose it."""
        self.chosen.emit(self.architecture.name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space and Return choose it."""
        if event.key() in {Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.chosen.emit(self.architecture.name)
        else:
            super().keyPressEvent(event)


class SettingsCard(Card):
    """Epochs, seed and width; `wishes` is the recipe they ask for."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__(Text("Settings"), space=6)
        self.epochs = spin(Text("Epochs"), 8, 1, 1000)
        self.seed = spin(Text("Seed of the run"), 0, 0, SEED_MAX)
        self.width_field = spin(Text("Width"), 16, 2, 512)
        self._rows = []
        for text, field in ((Text("Epochs"), self.epochs), (Text("Seed"), self.seed), (Text("Width"), self.width_field)):
            caption = label(text, "muted")
            caption.setBuddy(field)
            self.add(row(caption, None, field))
            self._rows.append((caption, field))
            field.valueChanged.connect(lambda _value: self.changed.emit())
        self.estimate = label("", "small", wrap=True)
        self.add(self.estimate)

    def suit(self, architecture: Architecture) -> None:
        """Show the settings that the architecture has, at their usual values."""
        has_width = next((option for option in architecture.options if option.name == "width"), None)
        for (caption, field), is_shown in zip(self._rows, (is_network(architecture), True, has_width is not None), strict=True):
            caption.setVisible(is_shown)
            field.setVisible(is_shown)
        self.epochs.setValue(int(architecture.usual.get("epochs", 8)))
        if has_width is not None:
            self.width_field.setRange(int(has_width.minimum or 1), int(has_width.maximum or 512))
            self.width_field.setValue(int(has_width.default))

    def wishes(self, architecture: Architecture) -> dict[str, Any]:
        """The recipe's fields that the user decides."""
        wishes: dict[str, Any] = {"architecture": architecture.name, "seed": self.seed.value()}
        if is_network(architecture):
            wishes["epochs"] = self.epochs.value()
        if any(option.name == "width" for option in architecture.options):
            wishes["options"] = {"width": self.width_field.value()}
        return wishes

    def show_estimate(self, training: Training, architecture: Architecture) -> None:
        """What it will take, if an earlier run tells; nothing is made up."""
        from desktop_app.ui import figures

        known = training.seconds_per_epoch(architecture.name)
        if known is None:
            show(self.estimate, Text("Time: not known before the first run of this kind."))
            return
        epochs = self.epochs.value() if is_network(architecture) else 1
        show(
            self.estimate,
            Text("Time: about {time}, at the pace of run {run}.", time=figures.duration(max(1.0, known[0] * epochs)), run=known[1]),
        )
