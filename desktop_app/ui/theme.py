"""The theme in force; painted widgets read it, `dress` keeps icons in its colours."""

import weakref
from collections.abc import Callable

import shiboken6
from PySide6.QtCore import QObject, Signal

from desktop_app.ui.tokens import DARK, LIGHT, THEMES, Theme


class ThemeSetting(QObject):
    """Holds the theme and tells when it changes."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.current: Theme = LIGHT
        self._dressed: weakref.WeakKeyDictionary[QObject, Callable[[Theme], None]] = weakref.WeakKeyDictionary()

    @property
    def is_dark(self) -> bool:
        """Whether the dark theme is in force."""
        return self.current is DARK

    def choose(self, name: str) -> None:
        """Put the theme `light` or `dark` in force."""
        self.current = THEMES[name]
        for owner, paint in list(self._dressed.items()):
            if shiboken6.isValid(owner):
                paint(self.current)
        self.changed.emit()

    def dress(self, owner: QObject, paint: Callable[[Theme], None]) -> None:
        """Call `paint` now and on every change for as long as `owner` lives; a second call replaces the first."""
        self._dressed[owner] = paint
        paint(self.current)


THEME = ThemeSetting()
