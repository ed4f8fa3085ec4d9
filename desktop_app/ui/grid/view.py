"""The grid of images: thumbnails with their label below, drawn in one delegate; nothing off screen costs anything."""

from collections.abc import Callable

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from desktop_app.data.catalogue import Sample
from desktop_app.ui.figures import one_line
from desktop_app.ui.grid.model import SAMPLE_ROLE
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.icons import icon
from desktop_app.ui.language import say
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import TYPE_SMALL
from desktop_app.ui.translations.text import Text

CELL_WISH = 96
DECODE_SIDE = 128
CAPTION_HEIGHT = 20
GAP = 8
Index = QModelIndex | QPersistentModelIndex


class ThumbnailDelegate(QStyledItemDelegate):
    """Draws one sample: image, label, and a mark where it is excluded, queued or contradictory."""

    def __init__(self, view: "SampleGrid", thumbnails: Thumbnails, caption: Callable[[Sample], str]) -> None:
        super().__init__(view)
        self._view, self._thumbnails, self._caption = view, thumbnails, caption

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        """The grid's cell."""
        return self._view.gridSize()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one sample."""
        theme = THEME.current
        rect: QRect = option.rect.adjusted(GAP // 2, GAP // 2, -GAP // 2, -GAP // 2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        state: QStyle.StateFlag = option.state
        if state & QStyle.StateFlag.State_Selected:
            painter.setPen(QColor(theme.accent))
            painter.setBrush(QColor(theme.accent_ground))
            painter.drawRoundedRect(QRectF(rect).adjusted(-3.5, -3.5, 3.5, 3.5), 6, 6)
        image = QRect(rect.x(), rect.y(), rect.width(), rect.height() - CAPTION_HEIGHT)
        sample: Sample | None = index.data(SAMPLE_ROLE)
        if sample is None:
            self._fill(painter, image)
        else:
            self._draw(painter, rect, image, sample)
        painter.restore()

    def _fill(self, painter: QPainter, image: QRect) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(THEME.current.track))
        painter.drawRoundedRect(image, 4, 4)

    def _draw(self, painter: QPainter, rect: QRect, image: QRect, sample: Sample) -> None:
        theme = THEME.current
        found = self._thumbnails.find(sample.sha256, DECODE_SIDE)
        if found is None or found.isNull():
            self._fill(painter, image)
        else:
            _draw_covering(painter, image, found, opacity=0.35 if sample.excluded else 1.0)
        if sample.excluded or sample.queued or sample.conflict:
            name = "prohibit" if sample.excluded else "tag" if sample.queued else "warning-circle"
            self._mark(painter, image, name)
        painter.setPen(QColor(theme.muted))
        font = QFont(painter.font())
        font.setPixelSize(TYPE_SMALL)
        painter.setFont(font)
        caption = QRect(rect.x(), image.bottom() + 3, rect.width(), CAPTION_HEIGHT - 2)
        shown = painter.fontMetrics().elidedText(one_line(self._caption(sample)), Qt.TextElideMode.ElideRight, caption.width())
        painter.drawText(caption, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), shown)

    def _mark(self, painter: QPainter, image: QRect, name: str) -> None:
        place = QRect(image.right() - 20, image.top() + 4, 17, 17)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(THEME.current.surface))
        painter.drawEllipse(place.adjusted(-1, -1, 1, 1))
        icon(name, THEME.current.caution).paint(painter, place)


def _draw_covering(painter: QPainter, place: QRect, pixmap: QPixmap, *, opacity: float) -> None:
    """Fill `place` with the middle of the pixmap, corners rounded."""
    side = min(pixmap.width() / place.width(), pixmap.height() / place.height())
    width, height = place.width() * side, place.height() * side
    source = QRectF((pixmap.width() - width) / 2, (pixmap.height() - height) / 2, width, height)
    path = QPainterPath()
    path.addRoundedRect(QRectF(place), 4, 4)
    painter.setClipPath(path)
    painter.setOpacity(opacity)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.drawPixmap(QRectF(place), pixmap, source)
    painter.setOpacity(1.0)
    painter.setClipping(False)


class SampleGrid(QListView):
    """A grid whose columns fill the width evenly; `chosen` tells the samples that are chosen."""

    chosen = Signal(list)
    activated_sample = Signal(object)

    def __init__(self, name: Text, thumbnails: Thumbnails, caption: Callable[[Sample], str] = lambda sample: sample.label or "–") -> None:
        super().__init__()
        say(self, name, "setAccessibleName")
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setItemDelegate(ThumbnailDelegate(self, thumbnails, caption))
        self.wish = CELL_WISH
        thumbnails.ready.connect(self._draw_again)
        self.activated.connect(lambda index: self.activated_sample.emit(index.data(SAMPLE_ROLE)))
        self._fit()

    def _draw_again(self, _sha256: str) -> None:
        self.viewport().update()

    def setModel(self, model: QAbstractItemModel | None) -> None:
        """Listen to the selection of the new model."""
        super().setModel(model)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit(self.chosen_samples()))

    def chosen_samples(self) -> list[Sample]:
        """The chosen samples that are loaded, in the order of the grid."""
        rows = sorted(self.selectionModel().selectedIndexes(), key=lambda index: index.row())
        return [sample for index in rows if (sample := index.data(SAMPLE_ROLE)) is not None]

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Divide the new width into equal columns."""
        self._fit()
        super().resizeEvent(event)

    def _fit(self) -> None:
        width = max(self.viewport().width() - 2, self.wish)
        columns = max(1, round(width / (self.wish + GAP)))
        side = width // columns
        self.setGridSize(QSize(side, side - GAP + CAPTION_HEIGHT + GAP))
