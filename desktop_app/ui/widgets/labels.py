"""Labels that never read their text as HTML, chips, and label–value lines."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from desktop_app.ui.figures import one_line
from desktop_app.ui.language import show
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.layouts import row


def label(text: Text | str = "", role: str = "", *, wrap: bool = False) -> QLabel:
    """A plain-text label; `role` picks its type in the style sheet."""
    made = WrappedLabel() if wrap else QLabel()
    made.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        made.setProperty("role", role)
    show(made, text)
    return made


class WrappedLabel(QLabel):
    """Text on several lines, always as tall as its lines at the width it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def setText(self, text: str) -> None:
        """Show `text` and be as tall as it needs."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Be as tall as the text needs at the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setFixedHeight(max(self.heightForWidth(self.width()), self.fontMetrics().height()))


class ElidedLabel(QLabel):
    """One line of data that ends in `…` where the room does; the tooltip has it whole."""

    def __init__(self, text: str = "", role: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setProperty("role", role)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._mode = mode
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show `text` on one line."""
        shown = one_line(text)
        super().setText(shown)
        self.setToolTip("" if not shown else f"<span>{_escaped(shown)}</span>")
        self.setAccessibleName(shown)

    def minimumSizeHint(self) -> QSize:
        """As narrow as it must be."""
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw as much as fits."""
        painter = QPainter(self)
        shown = self.fontMetrics().elidedText(self.text(), self._mode, self.width())
        painter.drawText(self.rect(), int(self.alignment() | Qt.AlignmentFlag.AlignVCenter), shown)
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Elide anew."""
        super().resizeEvent(event)
        self.update()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def chip(text: Text | str = "", tone: str = "neutral") -> QLabel:
    """A small pill; tones are neutral, good, caution, bad, accent."""
    made = label(text, "chip")
    made.setAlignment(Qt.AlignmentFlag.AlignCenter)
    made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    set_tone(made, tone)
    return made


def set_tone(marked: QWidget, tone: str) -> None:
    """Change the tone of a chip."""
    marked.setProperty("tone", tone)
    marked.style().unpolish(marked)
    marked.style().polish(marked)


def line(name: Text | str, value: QLabel | Text | str) -> QHBoxLayout:
    """A name on the left and its value right-aligned."""
    right = value if isinstance(value, QLabel) else label(value)
    right.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    left = label(name, "muted")
    left.setBuddy(right)
    return row(left, None, right)
