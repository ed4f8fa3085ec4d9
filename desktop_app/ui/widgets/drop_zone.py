"""A field that takes files and folders dropped from outside."""

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFrame, QWidget

from desktop_app.ui.language import name_for_readers
from desktop_app.ui.translations.text import Text


class DropZone(QFrame):
    """Tells `dropped` the first local path of a drop."""

    dropped = Signal(Path)

    def __init__(self, name: Text) -> None:
        super().__init__()
        self.setProperty("role", "drop")
        self.setAcceptDrops(True)
        name_for_readers(self, name)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take what has a local path."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()
            self._set_over(over=True)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        """Look plain again."""
        self._set_over(over=False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Tell the path."""
        self._set_over(over=False)
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(paths[0])

    def _set_over(self, *, over: bool) -> None:
        self.setProperty("over", over)
        _polish(self)


def _polish(widget: QWidget) -> None:
    widget.style().unpolish(widget)
    widget.style().polish(widget)
