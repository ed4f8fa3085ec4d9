"""What a page shows when there is nothing yet, while it loads, and when something went wrong."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from desktop_app.ui.icons import dress_label
from desktop_app.ui.language import say, show
from desktop_app.ui.tokens import SPACE_L, SPACE_M, SPACE_S
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.buttons import button
from desktop_app.ui.widgets.labels import label
from desktop_app.ui.widgets.layouts import row

SENTENCE_WIDTH = 440


class EmptyState(QWidget):
    """An icon, one sentence on what belongs here, and the button that brings it."""

    def __init__(self, icon_name: str, headline: Text, sentence: Text, action: QPushButton | None = None) -> None:
        super().__init__()
        self._icon = QLabel()
        dress_label(self._icon, icon_name, "muted", 40)
        self.headline = label(headline, "headline")
        self.sentence = label(sentence, "muted")
        self.sentence.setWordWrap(True)
        self.sentence.setFixedWidth(SENTENCE_WIDTH)
        box = QVBoxLayout(self)
        box.setSpacing(SPACE_S)
        box.addStretch(2)
        for part in (self._icon, self.headline, self.sentence):
            part.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            box.addLayout(row(None, part, None))
        if action is not None:
            box.addSpacing(SPACE_M)
            box.addWidget(action, 0, Qt.AlignmentFlag.AlignHCenter)
        box.addStretch(3)

    def set(self, headline: Text, sentence: Text | str) -> None:
        """Change what it says."""
        say(self.headline, headline)
        show(self.sentence, sentence)


class ErrorNote(QFrame):
    """An error where the work is: one sentence, what to do, and details that can be copied; Escape hides it."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "note")
        mark = QLabel()
        dress_label(mark, "warning-circle", "bad", 18)
        self.sentence = label("", "bad", wrap=True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(140)
        say(self.details, Text("Details of the error"), "setAccessibleName")
        self.more = button(Text("Details"), "", "quiet", self._toggle)
        self.copy = button(Text("Copy"), "copy", "quiet", self._copy)
        self.close_button = button(Text("Close"), "x", "quiet", self.clear)
        box = QVBoxLayout(self)
        box.setContentsMargins(SPACE_M, SPACE_S, SPACE_S, SPACE_S)
        top = row(mark, self.sentence, self.more, self.copy, self.close_button)
        top.setStretch(1, 1)
        box.addLayout(top)
        box.addWidget(self.details)
        self.hide()

    def tell(self, sentence: Text | str, details: str = "") -> None:
        """Show an error."""
        show(self.sentence, sentence)
        self.details.setPlainText(details)
        self.details.hide()
        self.more.setVisible(bool(details))
        self.show()

    def clear(self) -> None:
        """Hide it."""
        self.hide()

    def _toggle(self) -> None:
        self.details.setVisible(self.details.isHidden())

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(filter(None, (self.sentence.text(), self.details.toPlainText()))))


class Notice(QFrame):
    """Something worth knowing, with one action: `3 files were refused` [Show]."""

    def __init__(self, action: Text | None = None, on_click: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        mark = QLabel()
        dress_label(mark, "info", "caution", 18)
        self.sentence = label("", wrap=True)
        box = QHBoxLayout(self)
        box.setContentsMargins(SPACE_M, SPACE_S, SPACE_S, SPACE_S)
        box.setSpacing(SPACE_S)
        box.addWidget(mark)
        box.addWidget(self.sentence, 1)
        self.action: QPushButton | None = None
        if action is not None:
            self.action = button(action, "", "", on_click)
            box.addWidget(self.action)
        self.hide()

    def tell(self, sentence: Text | None) -> None:
        """Show a sentence, or hide with None."""
        if sentence is not None:
            say(self.sentence, sentence)
        self.setVisible(sentence is not None)


def loading() -> QWidget:
    """What stands where content is on its way."""
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
    box.addStretch(1)
    box.addWidget(label(Text("Loading…"), "muted"), 0, Qt.AlignmentFlag.AlignHCenter)
    box.addStretch(1)
    return holder
