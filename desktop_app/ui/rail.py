"""The rail on the left: pages in the order of the work, the project, commands and settings."""

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QButtonGroup, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.ui.icons import dress_button
from desktop_app.ui.language import name_for_readers, say
from desktop_app.ui.theme import THEME
from desktop_app.ui.tokens import SPACE_M, SPACE_XS
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.labels import ElidedLabel, label
from desktop_app.ui.widgets.layouts import column, row

RAIL_WIDTH = 176


class Ring(QWidget):
    """The eyelet: a ring."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedSize(24, 24)
        THEME.changed.connect(self.update)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the ring in the accent."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(THEME.current.accent), 6))
        painter.drawEllipse(QRectF(4, 4, 16, 16))
        painter.end()


class Rail(QWidget):
    """Links to the pages; exactly one is checked."""

    page_wanted = Signal(str)
    commands_wanted = Signal()
    settings_wanted = Signal()

    def __init__(self, pages: Sequence[tuple[str, Text, str]]) -> None:
        super().__init__()
        self.setProperty("role", "rail")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(RAIL_WIDTH)
        self.setAccessibleName("Eyelet")
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.links = {key: self._link(key, text, icon) for key, text, icon in pages}
        self.project = ElidedLabel("–", "strong")
        self.commands = self._quiet(Text("Commands"), "magnifying-glass", self.commands_wanted.emit)
        self.settings = self._quiet(Text("Settings"), "gear-six", self.settings_wanted.emit)
        self.lay_out()

    def lay_out(self) -> None:
        """Brand, links, then project and commands at the bottom."""
        box = QVBoxLayout(self)
        box.setContentsMargins(12, 15, 10, SPACE_M)
        box.setSpacing(SPACE_XS)
        brand = row(Ring(), label("Eyelet", "brand"), None)
        box.addLayout(brand)
        box.addSpacing(10)
        for link in self.links.values():
            box.addWidget(link)
        box.addStretch(1)
        box.addLayout(column(label(Text("Project"), "small"), self.project, space=2))
        box.addSpacing(SPACE_XS)
        box.addWidget(self.commands)
        box.addWidget(self.settings)

    def _link(self, key: str, text: Text, icon_name: str) -> QPushButton:
        link = QPushButton()
        link.setProperty("role", "page-link")
        link.setCheckable(True)
        link.setCursor(Qt.CursorShape.PointingHandCursor)
        link.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        _name_link(link, text)
        dress_button(link, icon_name, "muted", 17)
        link.clicked.connect(lambda _checked=False: self.page_wanted.emit(key))
        self._group.addButton(link)
        return link

    def _quiet(self, text: Text, icon_name: str, on_click: object) -> QPushButton:
        made = QPushButton()
        made.setProperty("role", "page-link")
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setIconSize(QSize(16, 16))
        _name_link(made, text)
        dress_button(made, icon_name)
        made.clicked.connect(lambda _checked=False: on_click())  # type: ignore[operator]
        return made

    def check(self, key: str) -> None:
        """Mark the page that is shown."""
        self.links[key].setChecked(True)

    def show_project(self, name: str, folder: str) -> None:
        """Name the open project."""
        self.project.setText(name or "–")
        self.project.setToolTip(folder)


class _Spaced(Text):
    """A text with room to the icon before it."""

    def __str__(self) -> str:
        """Two spaces, then the text."""
        return "  " + super().__str__()


def _name_link(link: QPushButton, text: Text) -> None:
    say(link, _Spaced(text.key, **text.values))
    name_for_readers(link, text)
