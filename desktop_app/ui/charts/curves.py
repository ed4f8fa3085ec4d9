"""Curves over epochs or minutes: learning curves, an optional band around each; the line's end bears its name."""

import math
from dataclasses import dataclass

import pyqtgraph
from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QResizeEvent

from desktop_app.ui.charts.plot import SYMBOLS, Plot, pen, series_colour
from desktop_app.ui.fonts import studio_font
from desktop_app.ui.tokens import TYPE_SMALL, Theme
from desktop_app.ui.translations.text import Text


@dataclass(frozen=True)
class Curve:
    """Points of one series; `low` and `high` bound a band where they are given."""

    name: Text | str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


class CurvesPlot(Plot):
    """Several curves with a legend drawn at their ends, so that no label covers another."""

    def __init__(self, name: Text, x_axis: Text, y_axis: Text, last_x: float = 1.0) -> None:
        self.curves: tuple[Curve, ...] = ()
        self._last_x = last_x
        super().__init__(name, x_axis, y_axis)

    def set(self, curves: tuple[Curve, ...], last_x: float) -> None:
        """Show `curves`; the x axis reaches to `last_x` at least."""
        if (curves, last_x) == (self.curves, self._last_x):
            return
        self.curves, self._last_x = curves, last_x
        self.render_again()

    def draw(self, theme: Theme) -> None:
        """Bands first, then lines, then the names at their ends."""
        filled = [curve for curve in self.curves if curve.x]
        for index, curve in enumerate(self.curves):
            if curve.x:
                self._draw_curve(index, curve)
        self._set_ranges(filled)
        self._name_ends(filled, theme)

    def _draw_curve(self, index: int, curve: Curve) -> None:
        colour = series_colour(index)
        if curve.low:
            ground = QColor(colour)
            ground.setAlpha(46)
            low = pyqtgraph.PlotDataItem(curve.x, curve.low, pen=None)
            high = pyqtgraph.PlotDataItem(curve.x, curve.high, pen=None)
            for part in (low, high, pyqtgraph.FillBetweenItem(low, high, brush=ground)):
                self.item.addItem(part)
        symbol = SYMBOLS[index % len(SYMBOLS)]
        self.item.plot(curve.x, curve.y, pen=pen(colour, index), symbol=symbol, symbolSize=6, symbolBrush=colour, symbolPen=None)

    def _set_ranges(self, curves: list[Curve]) -> None:
        values = [value for curve in curves for value in (*curve.y, *curve.low, *curve.high)]
        low, high = (min(values), max(values)) if values else (0.0, 100.0)
        room = max((high - low) * 0.12, 0.5)
        first = min((curve.x[0] for curve in curves), default=0.0)
        span = max(self._last_x - first, 1.0)
        room_right = self._name_room(curves)
        self.item.setXRange(first - span * 0.03, first + span * (1 + room_right), padding=0)
        self.item.getAxis("bottom").setTickSpacing(_whole_step(span), _whole_step(span))
        self.item.setYRange(low - room, high + room, padding=0)

    def _name_room(self, curves: list[Curve]) -> float:
        """Share of the x axis that the longest name needs to the right of the curves."""
        metrics = QFontMetricsF(studio_font(QFont.Weight.Normal, TYPE_SMALL))
        longest = max((metrics.horizontalAdvance(str(curve.name)) for curve in curves), default=0.0) + 18
        width = max(self.item.getViewBox().width(), longest * 2)
        return float(longest / (width - longest))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep room for the names at the new width."""
        super().resizeEvent(event)
        QTimer.singleShot(0, self, self.render_again)

    def _name_ends(self, curves: list[Curve], theme: Theme) -> None:
        ends = sorted(curves, key=lambda curve: curve.y[-1])
        spread = max(self.item.viewRange()[1][1] - self.item.viewRange()[1][0], 1e-9) * 0.07
        at = float("-inf")
        for curve in ends:
            at = max(curve.y[-1], at + spread)
            item = self.label_at(str(curve.name), theme.text, (0, 0.5))
            self.item.addItem(item)
            item.setPos(curve.x[-1] + (self.item.viewRange()[0][1] - self.item.viewRange()[0][0]) * 0.015, at)


def _whole_step(span: float) -> float:
    """A step of whole numbers that gives about six ticks."""
    wished = max(1.0, span / 6)
    power = 10 ** int(math.log10(wished))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= wished))
