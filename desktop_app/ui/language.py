"""The language in force: `say` gives a widget a text that follows it."""

import weakref

import shiboken6
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from desktop_app.ui.translations.text import SPEECH, Text


class LanguageSetting(QObject):
    """Switches the language of everything that was said so far."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._said: weakref.WeakKeyDictionary[QObject, dict[str, Text]] = weakref.WeakKeyDictionary()

    @property
    def code(self) -> str:
        """`en` or `zh`."""
        return SPEECH.code

    def choose(self, code: str) -> None:
        """Speak `code` from now on."""
        SPEECH.code = code
        for owner, texts in list(self._said.items()):
            if shiboken6.isValid(owner):
                for setter, text in texts.items():
                    getattr(owner, setter)(str(text))
        self.changed.emit()

    def say(self, owner: QObject, setter: str, text: Text) -> None:
        """Call `owner.<setter>` with the text now and whenever the language changes."""
        self._said.setdefault(owner, {})[setter] = text
        getattr(owner, setter)(str(text))

    def forget(self, owner: QObject, setter: str) -> None:
        """Leave what `setter` set alone from now on, because it now shows data."""
        self._said.get(owner, {}).pop(setter, None)


LANGUAGE = LanguageSetting()


def say(owner: QObject, text: Text, setter: str = "setText") -> None:
    """Give `owner` a text that follows the language."""
    LANGUAGE.say(owner, setter, text)


def show_data(owner: QWidget, data: str, setter: str = "setText") -> None:
    """Give `owner` data (a name, a figure) that no language changes."""
    LANGUAGE.forget(owner, setter)
    getattr(owner, setter)(data)


def show(owner: QWidget, text: Text | str, setter: str = "setText") -> None:
    """A `Text` follows the language, a `str` is data."""
    if isinstance(text, Text):
        say(owner, text, setter)
    else:
        show_data(owner, text, setter)


def name_for_readers(owner: QWidget, name: Text | str) -> None:
    """Set the name that screen readers say."""
    show(owner, name, "setAccessibleName")
