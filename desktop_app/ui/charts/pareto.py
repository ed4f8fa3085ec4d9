"""Accuracy against latency, the bubble is the size; the dashed line joins what nothing else beats."""

from dataclasses import dataclass

import pyqtgraph
from PySide6.QtCore import QPointF, QRectF, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QResizeEvent

from desktop_app.ui.charts.plot import Plot, pen, series_colour
from desktop_app.ui.fonts import studio_font
from desktop_app.ui.tokens import TYPE_SMALL, Theme
from desktop_app.ui.translations.text import Text

_LARGEST, _SMALLEST = 30.0, 11.0


@dataclass(frozen=True)
class Bubble:
    """One variant: latency in milliseconds, accuracy in percent, size in bytes."""

    name: str
    latency_ms: float
    accuracy: float
    size_bytes: int
    is_refused: bool = False


def front(bubbles: tuple[Bubble, ...]) -> list[Bubble]:
    """Bubbles that no other beats in both latency and accuracy, by latency."""
    best: list[Bubble] = []
    for bubble in sorted(bubbles, key=lambda b: (b.latency_ms, -b.accuracy)):
        if not best or bubble.accuracy > best[-1].accuracy:
            best.append(bubble)
    return best


class ParetoPlot(Plot):
    """Bubbles with their names beside them, placed so that they do not overlap; a click chooses one."""

    chosen = Signal(str)

    def __init__(self, name: Text) -> None:
        self.bubbles: tuple[Bubble, ...] = ()
        super().__init__(name, Text("p50 latency on this computer (ms)"), Text("accuracy (%)"))

    def set(self, bubbles: tuple[Bubble, ...]) -> None:
        """Show `bubbles`."""
        if bubbles != self.bubbles:
            self.bubbles = bubbles
            self.render_again()

    def draw(self, theme: Theme) -> None:
        """Front line, bubbles, names."""
        if not self.bubbles:
            return
        self._set_ranges()
        line = front(self.bubbles)
        if len(line) > 1:
            accent = pen(QColor(theme.accent), 1, 1.5)
            self.item.plot([b.latency_ms for b in line], [b.accuracy for b in line], pen=accent)
        for index, bubble in enumerate(self.bubbles):
            self._draw_bubble(index, bubble, theme)
        self._place_names(theme)

    def _set_ranges(self) -> None:
        latencies = [b.latency_ms for b in self.bubbles]
        accuracies = [b.accuracy for b in self.bubbles]
        spread = max(max(accuracies) - min(accuracies), 0.4)
        room = max(max(latencies) - min(latencies), max(latencies) * 0.2) * 0.6
        self.item.setXRange(max(0.0, min(latencies) - room), max(latencies) + room, padding=0)
        self.item.setYRange(min(accuracies) - spread * 0.3, max(accuracies) + spread * 0.3, padding=0)

    def diameter(self, bubble: Bubble) -> float:
        """Diameter in pixels: the area grows with the size."""
        largest = max(b.size_bytes for b in self.bubbles) or 1
        return _SMALLEST + (_LARGEST - _SMALLEST) * float((bubble.size_bytes / largest) ** 0.5)

    def _draw_bubble(self, index: int, bubble: Bubble, theme: Theme) -> None:
        colour = series_colour(index)
        brush = QColor(theme.surface) if bubble.is_refused else colour
        scatter = pyqtgraph.ScatterPlotItem(
            [bubble.latency_ms],
            [bubble.accuracy],
            size=self.diameter(bubble),
            brush=brush,
            pen=pyqtgraph.mkPen(colour, width=2),
            symbol="o",
            data=[bubble.name],
            hoverable=True,
        )
        scatter.sigClicked.connect(lambda _item, _spots, _event, name=bubble.name: self.chosen.emit(name))
        self.item.addItem(scatter)

    def _place_names(self, theme: Theme) -> None:
        metrics = QFontMetricsF(studio_font(QFont.Weight.Normal, TYPE_SMALL))
        view = self.item.getViewBox()
        centres = {b.name: view.mapViewToScene(QPointF(b.latency_ms, b.accuracy)) for b in self.bubbles}
        taken = [_square(centres[b.name], self.diameter(b)) for b in self.bubbles]
        field = view.sceneBoundingRect()
        for bubble in self.bubbles:
            size = (metrics.horizontalAdvance(bubble.name) + 8, metrics.height() + 2)
            rect = _free_place(centres[bubble.name], self.diameter(bubble) / 2, size, taken, field)
            taken.append(rect)
            item = self.label_at(bubble.name, theme.text, (0.5, 0.5))
            self.item.addItem(item)
            item.setPos(view.mapSceneToView(rect.center()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the names anew once the plot has its size."""
        super().resizeEvent(event)
        pyqtgraph.QtCore.QTimer.singleShot(0, self, self.render_again)


def _square(centre: QPointF, side: float) -> QRectF:
    return QRectF(centre.x() - side / 2, centre.y() - side / 2, side, side)


def _free_place(centre: QPointF, radius: float, size: tuple[float, float], taken: list[QRectF], field: QRectF) -> QRectF:
    """The place around a bubble that overlaps least with what is there already."""
    width, height = size
    candidates = []
    for step in range(3):
        away, up = radius + 4 + step * 10, height / 2 + radius + 3 + step * height
        offsets: tuple[tuple[float, float], ...] = (
            (away + width / 2, 0.0),
            (-away - width / 2, 0.0),
            (0.0, -up),
            (0.0, up),
            (away + width / 2, -up),
            (away + width / 2, up),
        )
        offsets += ((-away - width / 2, -up), (-away - width / 2, up))
        candidates += [QRectF(centre.x() + x - width / 2, centre.y() + y - height / 2, width, height) for x, y in offsets]
    return min(candidates, key=lambda rect: _cost(rect, taken, field))


def _cost(rect: QRectF, taken: list[QRectF], field: QRectF) -> float:
    covered = sum(_area(rect.intersected(other)) for other in taken)
    outside = _area(rect) - _area(rect.intersected(field))
    return covered + outside * 2


def _area(rect: QRectF) -> float:
    return max(0.0, rect.width()) * max(0.0, rect.height())
