"""Commands by name (Ctrl+K): each is registered once, found by typing, run by Return."""

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from desktop_app.ui.language import say
from desktop_app.ui.translations.text import Text


@dataclass(frozen=True)
class Command:
    """One thing that can be done from anywhere."""

    text: Text
    run: Callable[[], object]
    shortcut: str = ""


def matches(query: str, text: str) -> bool:
    """Whether all words of the query occur in the text, whatever their case."""
    return all(word in text.lower() for word in query.lower().split())


class CommandPalette(QDialog):
    """A field and the commands that match it."""

    def __init__(self, parent: QWidget, commands: tuple[Command, ...]) -> None:
        super().__init__(parent)
        say(self, Text("Commands"), "setWindowTitle")
        self.setWindowFlag(Qt.WindowType.FramelessWindowHint)
        self.setMinimumWidth(460)
        self._commands = commands
        self.field = QLineEdit()
        say(self.field, Text("Type what you want to do"), "setPlaceholderText")
        say(self.field, Text("Find a command"), "setAccessibleName")
        self.found = QListWidget()
        say(self.found, Text("Commands"), "setAccessibleName")
        box = QVBoxLayout(self)
        box.addWidget(self.field)
        box.addWidget(self.found)
        self.field.textChanged.connect(self._filter)
        self.field.installEventFilter(self)
        self.found.itemActivated.connect(lambda _item: self._run())
        self._filter("")

    def _filter(self, query: str) -> None:
        self.found.clear()
        for at, command in enumerate(self._commands):
            if matches(query, str(command.text)):
                item = QListWidgetItem(f"{command.text}    {command.shortcut}".rstrip())
                item.setData(Qt.ItemDataRole.UserRole, at)
                self.found.addItem(item)
        self.found.setCurrentRow(0)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Up, Down and Return work while typing."""
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in {Qt.Key.Key_Up, Qt.Key.Key_Down}:
                step = 1 if event.key() == Qt.Key.Key_Down else -1
                self.found.setCurrentRow(min(max(self.found.currentRow() + step, 0), self.found.count() - 1))
                return True
            if event.key() in {Qt.Key.Key_Return, Qt.Key.Key_Enter}:
                self._run()
                return True
        return super().eventFilter(watched, event)

    def _run(self) -> None:
        item = self.found.currentItem()
        self.accept()
        if item is not None:
            self._commands[int(item.data(Qt.ItemDataRole.UserRole))].run()
