"""Curves over epochs or minutes: learning curves, an optional band around each; the line's end bears its name."""

from dataclasses import dataclass

import pyqtgraph
from PySide6.QtGui import QColor

from desktop_app.ui.charts.plot import SYMBOLS, Plot, pen, series_colour
from desktop_app.ui.tokens import Theme
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
        self.item.setXRange(first - span * 0.03, first + span * 1.16, padding=0)
        self.item.setYRange(low - room, high + room, padding=0)

    def _name_ends(self, curves: list[Curve], theme: Theme) -> None:
        ends = sorted(curves, key=lambda curve: curve.y[-1])
        spread = max(self.item.viewRange()[1][1] - self.item.viewRange()[1][0], 1e-9) * 0.07
        at = float("-inf")
        for curve in ends:
            at = max(curve.y[-1], at + spread)
            item = self.label_at(str(curve.name), theme.text, (0, 0.5))
            self.item.addItem(item)
            item.setPos(curve.x[-1] + (self.item.viewRange()[0][1] - self.item.viewRange()[0][0]) * 0.015, at)
