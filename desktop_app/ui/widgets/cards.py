"""Cards: the boxes that content lies in."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLayout, QSizePolicy, QVBoxLayout, QWidget

from desktop_app.ui.language import show
from desktop_app.ui.tokens import SPACE_L, SPACE_M, SPACE_XS
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.labels import label


class Card(QFrame):
    """A surface with a title row (`head`) and a `body`."""

    def __init__(self, title: Text | str | None = None, *, space: int = SPACE_M) -> None:
        super().__init__()
        self.setProperty("role", "card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(SPACE_L, SPACE_L, SPACE_L, SPACE_L)
        outer.setSpacing(SPACE_M)
        self.head = QHBoxLayout()
        self.head.setSpacing(SPACE_XS)
        self.title: QLabel | None = None
        if title is not None:
            self.title = label(title, "card-title")
            self.head.addWidget(self.title)
            self.head.addStretch(1)
            outer.addLayout(self.head)
        self.body = QVBoxLayout()
        self.body.setSpacing(space)
        outer.addLayout(self.body, 1)

    def add(self, child: QWidget | QLayout, stretch: int = 0) -> None:
        """Put `child` at the end of the body."""
        if isinstance(child, QWidget):
            self.body.addWidget(child, stretch)
        else:
            self.body.addLayout(child, stretch)

    def set_title(self, title: Text | str) -> None:
        """Change the title."""
        if self.title is not None:
            show(self.title, title)


class FigureCard(QFrame):
    """One number that matters: caption, figure, note; the tooltip says where it comes from."""

    def __init__(self, caption: Text) -> None:
        super().__init__()
        self.setProperty("role", "card")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.caption = label(caption, "small")
        self.figure = label("–", "figure")
        self.note = label("", "small")
        box = QVBoxLayout(self)
        box.setContentsMargins(14, SPACE_M, 14, SPACE_M)
        box.setSpacing(2)
        for part in (self.caption, self.figure, self.note):
            part.setAlignment(Qt.AlignmentFlag.AlignLeft)
            box.addWidget(part)

    def set(self, figure: str, note: Text | str = "", source: Text | str = "") -> None:
        """Show a figure with its note; `source` becomes the tooltip."""
        show(self.figure, figure)
        show(self.note, note)
        show(self, source, "setToolTip")
        show(self, f"{self.caption.text()}: {figure}", "setAccessibleName")
