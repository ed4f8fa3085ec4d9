"""A list of counts as thin bars: classes, splits; a bar can be clicked."""

from typing import NamedTuple

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QEnterEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from desktop_app.ui import figures
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import SERIES
from desktop_app.ui.widgets.layouts import emptied

_ROW_HEIGHT = 30


class Bar(NamedTuple):
    """One bar: `key` is told on a click, `name` is shown, `value` decides the length."""

    key: str
    name: str
    value: int
    shown: str = ""


class BarRow(QWidget):
    """A name, a figure and a bar, drawn in one go; Space or a click chooses it."""

    chosen = Signal(str)

    def __init__(self, bar: Bar, share: float, colour: str) -> None:
        super().__init__()
        self._bar, self._share, self._colour = bar, share, colour
        self.is_chosen = False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{bar.name}: {bar.shown or figures.count(bar.value)}")
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    @property
    def key(self) -> str:
        """What the bar stands for."""
        return self._bar.key

    def sizeHint(self) -> QSize:
        """Two lines: text and bar."""
        return QSize(120, _ROW_HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw name, figure, track and bar."""
        theme = THEME.current
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.is_chosen or self.hasFocus() or self.underMouse():
            painter.setPen(QColor(theme.accent) if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.accent_ground if self.is_chosen else theme.track if self.underMouse() else theme.surface))
            painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 4, 4)
        text = QRect(6, 1, self.width() - 12, 19)
        figure = self._bar.shown or figures.count(self._bar.value)
        room = text.width() - self.fontMetrics().horizontalAdvance(figure) - 8
        painter.setPen(QColor(theme.accent if self.is_chosen else theme.text))
        name = self.fontMetrics().elidedText(figures.one_line(self._bar.name), Qt.TextElideMode.ElideRight, room)
        painter.drawText(text, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
        painter.setPen(QColor(theme.muted))
        painter.drawText(text, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), figure)
        track = QRect(6, 21, self.width() - 12, 5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.track))
        painter.drawRoundedRect(track, 2.5, 2.5)
        if self._share > 0:
            painter.setBrush(QColor(self._colour or theme.accent))
            painter.drawRoundedRect(QRect(track.x(), track.y(), max(5, round(track.width() * self._share)), 5), 2.5, 2.5)
        painter.end()

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        """Choose it."""
        self.chosen.emit(self.key)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space and Return choose it."""
        if event.key() in {Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter}:
            self.chosen.emit(self.key)
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show that it can be clicked."""
        super().enterEvent(event)
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Look plain again."""
        super().leaveEvent(event)
        self.update()


class BarList(QWidget):
    """Bars below each other; a click chooses one, a second click lets it go (`chosen` tells `""`)."""

    chosen = Signal(str)

    def __init__(self, *, many_colours: bool = True) -> None:
        super().__init__()
        self._many_colours = many_colours
        self._shown: tuple[Bar, ...] = ()
        self._chosen = ""
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(1)

    def set(self, bars: tuple[Bar, ...], whole: int | None = None) -> None:
        """Show `bars`; a bar as long as the track is `whole` (default: the largest value)."""
        if bars == self._shown:
            return
        self._shown = bars
        emptied(self._box)
        largest = whole or max((bar.value for bar in bars), default=1) or 1
        for index, bar in enumerate(bars):
            colour = SERIES[index % len(SERIES)] if self._many_colours else ""
            made = BarRow(bar, min(1.0, bar.value / largest), colour)
            made.is_chosen = bar.key == self._chosen
            made.chosen.connect(self._choose)
            self._box.addWidget(made)

    def choose(self, key: str) -> None:
        """Mark one bar, or none with the empty string."""
        self._chosen = key
        for made in self.rows():
            made.is_chosen = made.key == key
            made.update()

    def rows(self) -> list[BarRow]:
        """The bars that are shown."""
        items = (self._box.itemAt(index) for index in range(self._box.count()))
        return [widget for item in items if item is not None and isinstance(widget := item.widget(), BarRow)]

    def _choose(self, key: str) -> None:
        self.choose("" if key == self._chosen else key)
        self.chosen.emit(self._chosen)
