"""Rows and columns with the spaces of the design."""

from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QLayout, QLayoutItem, QScrollArea, QVBoxLayout, QWidget

from desktop_app.ui.tokens import SPACE_M, SPACE_S

Box = TypeVar("Box", bound=QBoxLayout)


def row(*children: QWidget | QLayout | int | None, space: int = SPACE_S) -> QHBoxLayout:
    """Children from left to right; a number is a fixed space, None stretches."""
    return _filled(QHBoxLayout(), children, space)


def column(*children: QWidget | QLayout | int | None, space: int = SPACE_M) -> QVBoxLayout:
    """Children from top to bottom; a number is a fixed space, None stretches."""
    return _filled(QVBoxLayout(), children, space)


def _filled(box: Box, children: tuple[QWidget | QLayout | int | None, ...], space: int) -> Box:
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(space)
    for child in children:
        _add(box, child)
    return box


def _add(box: QBoxLayout, child: QWidget | QLayout | int | None) -> None:
    if child is None:
        box.addStretch(1)
    elif isinstance(child, int):
        box.addSpacing(child)
    elif isinstance(child, QWidget):
        box.addWidget(child)
    else:
        box.addLayout(child)


def boxed(layout: QLayout, role: str = "") -> QWidget:
    """A widget around a layout."""
    widget = QWidget()
    if role:
        widget.setProperty("role", role)
    widget.setLayout(layout)
    return widget


def scrolled(content: QWidget) -> QScrollArea:
    """`content` in a vertical scroll area without a frame of its own."""
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    content.setProperty("role", "scrolled")
    area.setWidget(content)
    area.viewport().setAutoFillBackground(False)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


def emptied(layout: QLayout) -> None:
    """Remove and delete everything in `layout`."""
    while (item := layout.takeAt(0)) is not None:
        _discard(item)


def _discard(item: QLayoutItem) -> None:
    widget, inner = item.widget(), item.layout()
    if widget is not None:
        widget.hide()
        widget.setParent(None)
        widget.deleteLater()
    elif inner is not None:
        emptied(inner)
