"""The confusion matrix: rows are what is true, columns what was said; a cell is chosen by click or arrow keys."""

from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from desktop_app.ui import figures
from desktop_app.ui.fonts import studio_font
from desktop_app.ui.language import LANGUAGE, say
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import TYPE_SMALL, contrast
from desktop_app.ui.translations.text import Text

_STEPS = {Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1), Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0)}
_LABEL_SHARE = 0.3


class ConfusionView(QWidget):
    """Share of each true class in percent, with the count in the tooltip."""

    chosen = Signal(str, str)  # true label, predicted label

    def __init__(self) -> None:
        super().__init__()
        say(self, Text("Confusion matrix"), "setAccessibleName")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(220, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.labels: tuple[str, ...] = ()
        self.counts: tuple[tuple[int, ...], ...] = ()
        self.cell: tuple[int, int] | None = None
        LANGUAGE.changed.connect(self.update)
        THEME.changed.connect(self.update)

    def set(self, labels: tuple[str, ...], counts: tuple[tuple[int, ...], ...]) -> None:
        """Show counts: `counts[true][predicted]`."""
        if (labels, counts) != (self.labels, self.counts):
            self.labels, self.counts, self.cell = labels, counts, None
            self.update()

    def sizeHint(self) -> QSize:
        """A square of a comfortable size."""
        return QSize(380, 340)

    def share(self, row: int, column: int) -> float:
        """Share of the true class `row` that was called `column`."""
        total = sum(self.counts[row])
        return self.counts[row][column] / total if total else 0.0

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw cells, names and axis titles."""
        if not self.labels:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(studio_font(QFont.Weight.Normal, TYPE_SMALL))
        field = self._field()
        self._draw_cells(painter, field)
        self._draw_names(painter, field)
        self._draw_axes(painter, field)
        painter.end()

    def _field(self) -> QRectF:
        metrics = QFontMetricsF(studio_font(QFont.Weight.Normal, TYPE_SMALL))
        widest = max(metrics.horizontalAdvance(figures.one_line(name)) for name in self.labels)
        left = min(widest, self.width() * _LABEL_SHARE) + 36
        fits = widest + 6 <= (self.width() - left) / len(self.labels)
        bottom = metrics.height() + 28 if fits else min(widest, self.height() * _LABEL_SHARE) + 30
        return QRectF(left, 2, max(10.0, self.width() - left - 4), max(10.0, self.height() - bottom))

    def _cell_rect(self, field: QRectF, row: int, column: int) -> QRectF:
        width, height = field.width() / len(self.labels), field.height() / len(self.labels)
        return QRectF(field.x() + column * width, field.y() + row * height, width, height)

    def _draw_cells(self, painter: QPainter, field: QRectF) -> None:
        theme = THEME.current
        for row in range(len(self.labels)):
            for column in range(len(self.labels)):
                share = self.share(row, column)
                rect = self._cell_rect(field, row, column).adjusted(0.5, 0.5, -0.5, -0.5)
                ground = _blend(theme.surface, theme.accent, min(1.0, share**0.7) if share else 0.0)
                painter.fillRect(rect, QColor(ground) if share else QColor(theme.background))
                if share >= 0.005 and rect.width() >= 22 and rect.height() >= 14:  # noqa: PLR2004
                    ink = max((theme.text, theme.on_accent), key=lambda colour: contrast(colour, ground))
                    painter.setPen(QColor(ink))
                    painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), f"{share * 100:.0f}")
        if self.cell is not None:
            painter.setPen(QColor(theme.text))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self._cell_rect(field, *self.cell).adjusted(1, 1, -1, -1))

    def _draw_names(self, painter: QPainter, field: QRectF) -> None:
        painter.setPen(QColor(THEME.current.text))
        metrics = QFontMetricsF(painter.font())
        width, height = field.width() / len(self.labels), field.height() / len(self.labels)
        is_upright = all(metrics.horizontalAdvance(figures.one_line(name)) + 6 <= width for name in self.labels)
        every = max(1, round(metrics.height() / height + 0.4)) if height < metrics.height() else 1
        for index, name in enumerate(self.labels):
            if index % every:
                continue
            row = QRectF(20, field.y() + index * height, field.x() - 27, height)
            shown = metrics.elidedText(figures.one_line(name), Qt.TextElideMode.ElideRight, row.width())
            painter.drawText(row, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), shown)
            self._draw_column_name(painter, field, index, is_upright=is_upright)

    def _draw_column_name(self, painter: QPainter, field: QRectF, index: int, *, is_upright: bool) -> None:
        metrics = QFontMetricsF(painter.font())
        width = field.width() / len(self.labels)
        centre = field.x() + (index + 0.5) * width
        if is_upright:
            rect = QRectF(centre - width / 2, field.bottom() + 4, width, metrics.height())
            painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), figures.one_line(self.labels[index]))
            return
        room = self.height() - field.bottom() - 28
        shown = metrics.elidedText(figures.one_line(self.labels[index]), Qt.TextElideMode.ElideRight, room)
        painter.save()
        painter.translate(QPointF(centre + metrics.ascent() / 2 - 1, field.bottom() + 6))
        painter.rotate(90)
        painter.translate(0, metrics.ascent() - 2)
        painter.drawText(QPointF(0, -metrics.ascent() / 4 + 2), shown)
        painter.restore()

    def _draw_axes(self, painter: QPainter, field: QRectF) -> None:
        painter.setPen(QColor(THEME.current.muted))
        bottom = QRectF(field.x(), self.height() - 18, field.width(), 18)
        painter.drawText(bottom, int(Qt.AlignmentFlag.AlignCenter), str(Text("said by the model")))
        painter.save()
        painter.translate(9, field.center().y())
        painter.rotate(-90)
        painter.drawText(QRectF(-field.height() / 2, -9, field.height(), 18), int(Qt.AlignmentFlag.AlignCenter), str(Text("true label")))
        painter.restore()

    def _cell_at(self, point: QPoint) -> tuple[int, int] | None:
        if not self.labels:
            return None
        field = self._field()
        if not field.contains(QPointF(point)):
            return None
        size = len(self.labels)
        column = int((point.x() - field.x()) / field.width() * size)
        row = int((point.y() - field.y()) / field.height() * size)
        return min(row, size - 1), min(column, size - 1)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say what the cell under the pointer holds."""
        cell = self._cell_at(event.position().toPoint())
        QToolTip.showText(event.globalPosition().toPoint(), str(self.sentence(*cell)) if cell else "", self, QRect())

    def sentence(self, row: int, column: int) -> Text:
        """A cell in words."""
        return Text(
            '{count} of {total} samples of "{truth}" were called "{said}"',
            count=figures.count(self.counts[row][column]),
            total=figures.count(sum(self.counts[row])),
            truth=self.labels[row],
            said=self.labels[column],
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the cell."""
        self._choose(self._cell_at(event.position().toPoint()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrow keys move, Escape lets go."""
        step = _STEPS.get(Qt.Key(event.key()))
        if step and self.labels:
            row, column = self.cell or (0, 0)
            last = len(self.labels) - 1
            self._choose((min(max(row + step[0], 0), last), min(max(column + step[1], 0), last)))
        elif event.key() == Qt.Key.Key_Escape:
            self._choose(None)
        else:
            super().keyPressEvent(event)

    def _choose(self, cell: tuple[int, int] | None) -> None:
        self.cell = None if cell == self.cell else cell
        self.update()
        if self.cell is None:
            self.chosen.emit("", "")
        else:
            self.setAccessibleDescription(str(self.sentence(*self.cell)))
            self.chosen.emit(self.labels[self.cell[0]], self.labels[self.cell[1]])


def _blend(ground: str, ink: str, share: float) -> str:
    mixed = [round(int(ground[at : at + 2], 16) * (1 - share) + int(ink[at : at + 2], 16) * share) for at in (1, 3, 5)]
    return "#{:02X}{:02X}{:02X}".format(*mixed)
