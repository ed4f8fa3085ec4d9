"""Buttons: one primary per page, the rest plain or quiet; each has a name for screen readers."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from desktop_app.ui.icons import dress_button, pixmap
from desktop_app.ui.language import say
from desktop_app.ui.theme import THEME
from desktop_app.ui.translations.text import Text


def button(text: Text, icon_name: str = "", role: str = "", on_click: Callable[[], object] | None = None) -> QPushButton:
    """A button; `role` is `primary`, `quiet` or empty for a plain one."""
    made = QPushButton()
    if role:
        made.setProperty("role", role)
    rename_button(made, text)
    if icon_name:
        dress_button(made, icon_name, "on_accent" if role == "primary" else "muted")
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    made.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    if on_click is not None:
        made.clicked.connect(lambda _checked=False: on_click())
    return made


def rename_button(made: QPushButton, text: Text) -> None:
    """Change what a button says; `&` in a text is shown as it is."""
    say(made, text)
    say(made, text, "setAccessibleName")


def icon_button(name: Text, icon_name: str, on_click: Callable[[], object]) -> QPushButton:
    """A quiet button that shows an icon only; its name is the tooltip and what screen readers say."""
    made = QPushButton()
    made.setProperty("role", "icon")
    say(made, name, "setToolTip")
    say(made, name, "setAccessibleName")
    dress_button(made, icon_name)
    made.clicked.connect(lambda _checked=False: on_click())
    return made


class Choice(QComboBox):
    """A drop-down list with a caret in the theme's colour."""

    def __init__(self, name: Text) -> None:
        super().__init__()
        say(self, name, "setAccessibleName")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the caret over the field."""
        super().paintEvent(event)
        painter = QPainter(self)
        size = 12
        caret = pixmap("caret-down", THEME.current.muted, size, QLabel())
        painter.drawPixmap(self.width() - size - 8, (self.height() - size) // 2, caret)
        painter.end()

    def wheelEvent(self, event: object) -> None:
        """Leave the wheel to the page, so that scrolling changes no choice."""
        event.ignore()  # type: ignore[attr-defined]


def buddy(caption: QLabel, field: QWidget) -> None:
    """Tie a caption to its field, for the keyboard and for screen readers."""
    caption.setBuddy(field)


__all__ = ["Choice", "QToolButton", "buddy", "button", "icon_button", "rename_button"]
