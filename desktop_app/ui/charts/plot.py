"""A pyqtgraph plot in the studio's look: named axes, no SI prefixes, no mouse traps, colours of the theme."""

from typing import Any

import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from desktop_app.ui.fonts import studio_font
from desktop_app.ui.language import LANGUAGE, say
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import SERIES, TYPE_SMALL, Theme
from desktop_app.ui.translations.text import Text

pyqtgraph.setConfigOptions(antialias=True)

DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
SYMBOLS = ("o", "s", "t1", "d", "+", "x")


class Plot(QWidget):
    """One plot with an x axis below and a y axis on the left; subclasses draw in `draw`."""

    def __init__(self, name: Text, x_axis: Text, y_axis: Text) -> None:
        super().__init__()
        say(self, name, "setAccessibleName")
        self._axes = {"bottom": x_axis, "left": y_axis}
        self.widget: Any = pyqtgraph.PlotWidget()
        self.item: Any = self.widget.getPlotItem()
        self.widget.setFrameShape(self.widget.Shape.NoFrame)
        self.widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.widget.viewport().setAttribute(Qt.WidgetAttribute.WA_AcceptTouchEvents, on=False)
        self.item.setMenuEnabled(False)
        self.item.hideButtons()
        self.item.getViewBox().setMouseEnabled(x=False, y=False)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.widget)
        THEME.dress(self, self._dress)
        LANGUAGE.changed.connect(self.render_again)

    def _dress(self, theme: Theme) -> None:
        font = studio_font(QFont.Weight.Normal, TYPE_SMALL)
        self.widget.setBackground(QColor(theme.surface))
        for side, text in self._axes.items():
            axis = self.item.getAxis(side)
            axis.enableAutoSIPrefix(False)
            axis.setPen(QColor(theme.border))
            axis.setTextPen(QColor(theme.muted))
            axis.setTickFont(font)
            axis.setStyle(tickLength=4, tickTextOffset=6)
            axis.setLabel(str(text), color=theme.muted, **{"font-size": f"{TYPE_SMALL}px"})
            axis.label.setFont(font)
        self.item.showGrid(x=False, y=True, alpha=0.16)
        self.render_again()

    def render_again(self) -> None:
        """Draw anew, after the theme, the language or the data changed."""
        for side, text in self._axes.items():
            self.item.getAxis(side).setLabel(str(text), color=THEME.current.muted, **{"font-size": f"{TYPE_SMALL}px"})
        self.item.clear()
        self.draw(THEME.current)

    def draw(self, theme: Theme) -> None:
        """Put curves and marks into `self.item`."""

    def label_at(self, text: str, colour: str, anchor: tuple[float, float]) -> Any:  # noqa: ANN401  (pyqtgraph has no types)
        """A text item in the plot's font."""
        item = pyqtgraph.TextItem(text, color=QColor(colour), anchor=anchor)
        item.setFont(studio_font(QFont.Weight.Normal, TYPE_SMALL))
        return item


def series_colour(index: int) -> QColor:
    """Colour of the series `index`."""
    return QColor(SERIES[index % len(SERIES)])


def pen(colour: QColor, index: int = 0, width: float = 2.0) -> Any:  # noqa: ANN401
    """A pen whose dash tells series apart without colour."""
    return pyqtgraph.mkPen(colour, width=width, style=DASHES[index % len(DASHES)])
