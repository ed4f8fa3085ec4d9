"""Phosphor icons in the theme's colours."""

from typing import Any, cast

import qtawesome
from PySide6.QtCore import QObject, QSize
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QAbstractButton, QLabel

from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import Theme


def icon(name: str, colour: str, checked: str = "", disabled: str = "") -> QIcon:
    """The icon `name` in `colour`; `checked` is its colour on a checked button."""
    options: dict[str, Any] = {"color": colour, "color_disabled": disabled or colour}
    if checked:
        options |= {"color_on": checked, "color_on_active": checked, "color_on_selected": checked}
    return cast("QIcon", qtawesome.icon(f"ph.{name}", **options))


def dress_button(button: QAbstractButton, name: str, tone: str = "muted", size: int = 16) -> None:
    """Give a button an icon that follows the theme; `tone` is a colour of `Theme`."""
    button.setIconSize(QSize(size, size))

    def paint(theme: Theme) -> None:
        button.setIcon(icon(name, getattr(theme, tone), checked=theme.accent, disabled=theme.muted))

    THEME.dress(button, paint)


def dress_label(label: QLabel, name: str, tone: str = "muted", size: int = 16) -> None:
    """Show an icon in a label, in the theme's colours."""

    def paint(theme: Theme) -> None:
        label.setPixmap(pixmap(name, getattr(theme, tone), size, label))

    THEME.dress(label, paint)


def pixmap(name: str, colour: str, size: int, on: QObject) -> QPixmap:
    """The icon as a pixmap of `size` points, sharp on the screen that `on` is on."""
    ratio = on.devicePixelRatioF() if isinstance(on, QLabel) else 1.0
    return icon(name, colour).pixmap(QSize(size, size), ratio)
