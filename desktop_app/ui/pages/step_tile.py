"""A tile of the home page: one step of the loop in a figure, leading to its page."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout

from desktop_app.ui.icons import dress_label
from desktop_app.ui.language import show
from desktop_app.ui.tokens import SPACE_L, SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.labels import ElidedLabel, label
from desktop_app.ui.widgets.layouts import row


class StepTile(QFrame):
    """One step of the loop: icon, name, figure, note; leads to its page."""

    wanted = Signal()

    def __init__(self, name: Text, icon_name: str) -> None:
        super().__init__()
        self.setProperty("role", "tile")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        mark = QLabel()
        dress_label(mark, icon_name, "accent", 18)
        self._name = label(name, "muted")
        self.figure = label("–", "figure")
        self.note = ElidedLabel("", "small")
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_L, SPACE_M, SPACE_M, SPACE_M)
        box.setSpacing(3)
        box.addLayout(row(mark, self._name, None))
        box.addWidget(self.figure)
        box.addWidget(self.note)

    def set(self, figure: str, note: Text | str) -> None:
        """Show a figure and what it means."""
        show(self.figure, figure)
        show(self.note, note)
        show(self, f"{self._name.text()}: {figure}, {self.note.text()}", "setAccessibleName")

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """Lead there."""
        self.wanted.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Return and Space lead there too."""
        if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space}:
            self.wanted.emit()
        else:
            super().keyPressEvent(event)
