"""The title row of a page: name, chips that say what one looks at, actions with one primary."""

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop_app.ui.tokens import SPACE_M, SPACE_S
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.labels import chip, label
from desktop_app.ui.widgets.layouts import emptied

ChipContent = tuple[Text | str, str]


class TitleRow(QWidget):
    """`set_chips` shows (text, tone) pairs; actions lie from left to right, the primary last."""

    def __init__(self, title: Text, actions: Sequence[QWidget]) -> None:
        super().__init__()
        self.title = label(title, "title")
        self._shown: tuple[ChipContent, ...] = ()
        self._chips = QHBoxLayout()
        self._chips.setSpacing(6)
        self.setFixedHeight(34)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(SPACE_S)
        box.addWidget(self.title)
        box.addSpacing(SPACE_M)
        box.addLayout(self._chips)
        box.addStretch(1)
        for action in actions:
            box.addWidget(action)

    def set_chips(self, chips: Sequence[ChipContent]) -> None:
        """Show these chips."""
        if tuple(chips) == self._shown:
            return
        self._shown = tuple(chips)
        emptied(self._chips)
        for text, tone in chips:
            self._chips.addWidget(chip(text, tone))
