"""After a drop: what was recognised, every guess editable, and one button."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QWidget

from desktop_app.data.project import create_project
from desktop_app.ui import figures
from desktop_app.ui.language import say, show
from desktop_app.ui.questions.recognition import Recognition
from desktop_app.ui.tokens import SPACE_L, SPACE_S
from desktop_app.ui.translations.text import Text, counted
from desktop_app.ui.widgets.buttons import Choice, button
from desktop_app.ui.widgets.cards import Card
from desktop_app.ui.widgets.labels import chip, label
from desktop_app.ui.widgets.layouts import emptied, row

_CHIPS_MAX = 8


@dataclass(frozen=True)
class ImportWish:
    """What the user wants imported; `project_folder` None means into the open project."""

    path: Path
    project_folder: Path | None
    project_name: str
    task: str
    options: dict[str, Any]

    def make_project(self) -> Path:
        """Make the new project and return its folder.

        Raises:
            ProjectError: it can not be made.
        """
        folder = self.project_folder or self.path
        create_project(folder, self.project_name, self.task).close()
        return folder


class ImportCard(Card):
    """Shows a recognition; tells `wanted` or `given_up`."""

    wanted = Signal(object)
    given_up = Signal()

    def __init__(self) -> None:
        super().__init__(Text("Recognised"))
        self._recognition: Recognition | None = None
        self.source = label("", "strong", wrap=True)
        self.chips = row()
        self.target = Choice(Text("Target column"))
        self.where = Choice(Text("Where to import"))
        self.name = QLineEdit()
        self.folder = QLineEdit()
        self.confirm = button(Text("Import"), "download-simple", "primary", self._confirm)
        self.back = button(Text("Back"), "", "", self.given_up.emit)
        self.add(self.source)
        self.add(self.chips)
        self.add(self._form())
        self.add(row(self.confirm, self.back, None))
        self.body.addStretch(1)
        self.where.currentIndexChanged.connect(self._show_fields)

    def _form(self) -> QFormLayout:
        form = QFormLayout()
        form.setHorizontalSpacing(SPACE_L)
        form.setVerticalSpacing(SPACE_S)
        self._captions: dict[QWidget, QLabel] = {}
        fields: tuple[tuple[Text, QWidget], ...] = (
            (Text("Target column"), self.target),
            (Text("Import into"), self.where),
            (Text("Project name"), self.name),
            (Text("Project folder"), self.folder),
        )
        for text, field in fields:
            caption = label(text, "muted")
            caption.setBuddy(field)
            say(field, text, "setAccessibleName")
            self._captions[field] = caption
            form.addRow(caption, field)
        return form

    def ask(self, recognition: Recognition, folder: Path, open_project: str) -> None:
        """Show a guess; `open_project` names the project it would fit into, or is empty."""
        self._recognition = recognition
        show(self.source, figures.one_line(recognition.path.name))
        emptied(self.chips)
        for text, tone in self._describe(recognition):
            self.chips.addWidget(chip(text, tone))
        self.chips.addStretch(1)
        self.target.clear()
        self.target.addItems([figures.one_line(c, 60) for c in recognition.columns])
        if recognition.target in recognition.columns:
            self.target.setCurrentIndex(recognition.columns.index(recognition.target))
        self.where.clear()
        if open_project:
            self.where.addItem(str(Text("the open project, {name}", name=figures.one_line(open_project, 40))))
        self.where.addItem(str(Text("a new project")))
        self.name.setText(recognition.name)
        self.folder.setText(str(folder))
        self.confirm.setEnabled(recognition.files > 0)
        self._show_fields()

    def _describe(self, found: Recognition) -> list[tuple[Text | str, str]]:
        more = "+" if found.is_bounded else ""
        count = figures.count(found.files) + more
        if found.columns:
            rows = (Text("{count} rows", count=count), "neutral")
            return [(Text("tabular classification"), "accent"), rows, (Text("{n} columns", n=len(found.columns)), "neutral")]
        chips: list[tuple[Text | str, str]] = [(Text("image classification"), "accent"), (Text("{count} images", count=count), "neutral")]
        classes = len(found.classes)
        chips.append(
            (counted(classes, Text("1 class"), Text("{n} classes", n=classes)), "neutral") if classes else (Text("no labels"), "caution")
        )
        if found.other_files:
            chips.append((Text("{count} other files", count=figures.count(found.other_files)), "caution"))
        chips += [(figures.one_line(name, 20), "neutral") for name in found.classes[:_CHIPS_MAX] if len(found.classes) <= _CHIPS_MAX]
        return chips

    @property
    def _is_new(self) -> bool:
        return self.where.currentIndex() == self.where.count() - 1

    def _show_fields(self) -> None:
        is_table = bool(self._recognition and self._recognition.columns)
        visible = {self.target: is_table, self.where: self.where.count() > 1, self.name: self._is_new, self.folder: self._is_new}
        for field, is_shown in visible.items():
            field.setVisible(is_shown)
            self._captions[field].setVisible(is_shown)

    def _confirm(self) -> None:
        found = self._recognition
        if found is None:
            return
        options = {"target": found.columns[self.target.currentIndex()]} if found.columns else {}
        folder = Path(self.folder.text()).expanduser() if self._is_new else None
        self.wanted.emit(ImportWish(found.path, folder, self.name.text().strip() or found.name, found.task, options))
