"""One image as large as the room allows."""

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop_app.ui.grid.thumbnails import TINY_SIDE, Thumbnails
from desktop_app.ui.language import name_for_readers
from desktop_app.ui.theme import THEME
from desktop_app.ui.translations.text import Text

LARGE_SIDE = 720


class Picture(QWidget):
    """Shows the original with a digest, or a given pixmap."""

    def __init__(self, thumbnails: Thumbnails, name: Text) -> None:
        super().__init__()
        self._thumbnails = thumbnails
        self._sha256 = ""
        self._pixmap: QPixmap | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 120)
        name_for_readers(self, name)
        thumbnails.ready.connect(self._on_ready)
        THEME.changed.connect(self.update)

    def sizeHint(self) -> QSize:
        """A large square."""
        return QSize(480, 480)

    def show_original(self, sha256: str) -> None:
        """Show the original with this digest (empty: nothing)."""
        self._sha256 = sha256
        self._pixmap = self._thumbnails.find(sha256, LARGE_SIDE) if sha256 else None
        self.update()

    def show_pixmap(self, pixmap: QPixmap | None) -> None:
        """Show a pixmap."""
        self._sha256, self._pixmap = "", pixmap
        self.update()

    def _on_ready(self, sha256: str) -> None:
        if sha256 == self._sha256:
            self.show_original(sha256)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the image in the middle, whole."""
        painter = QPainter(self)
        pixmap = self._pixmap
        if pixmap is None or pixmap.isNull():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(THEME.current.track))
            painter.drawRoundedRect(self.rect(), 6, 6)
            return
        size = pixmap.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height())
        is_tiny = max(pixmap.width(), pixmap.height()) <= TINY_SIDE
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, on=not is_tiny)
        painter.drawPixmap(place, pixmap)
        painter.end()
