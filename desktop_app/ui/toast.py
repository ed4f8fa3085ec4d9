"""A short message at the bottom that offers an undo; it asks nothing and goes by itself."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from desktop_app.ui.language import say, show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.labels import label

SHOWN_MS = 7000
_BOTTOM = 56


class Toast(QFrame):
    """Lies over its parent; a new message takes the place of the old one."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setProperty("role", "toast")
        self.sentence = label("")
        self.action = QPushButton()
        self.action.setProperty("role", "toast")
        self.action.setCursor(Qt.CursorShape.PointingHandCursor)
        self.action.clicked.connect(self._act)
        say(self.action, Text("Undo"), "setAccessibleName")
        self._on_action: Callable[[], object] | None = None
        box = QHBoxLayout(self)
        box.setContentsMargins(16, 6, 10, 6)
        box.addWidget(self.sentence)
        box.addWidget(self.action)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        parent.installEventFilter(self)
        self.hide()

    def tell(self, sentence: Text | str, action: Text | None = None, on_action: Callable[[], object] | None = None) -> None:
        """Show a message for some seconds."""
        show(self.sentence, sentence)
        self._on_action = on_action
        self.action.setVisible(action is not None)
        if action is not None:
            say(self.action, action)
            say(self.action, action, "setAccessibleName")
        self.adjustSize()
        self._place()
        self.show()
        self.raise_()
        self._timer.start(SHOWN_MS)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay in place when the window changes its size."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def _place(self) -> None:
        parent = self.parentWidget()
        if parent is not None:
            self.move((parent.width() - self.width()) // 2, parent.height() - self.height() - _BOTTOM)

    def _act(self) -> None:
        self.hide()
        if self._on_action is not None:
            self._on_action()
