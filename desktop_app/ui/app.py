"""Opens the window: application, font, theme, language."""

import os
import signal
import sys
from pathlib import Path

from PySide6.QtCore import QLocale, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from desktop_app.errors import StudioError
from desktop_app.ui.binding import keep_constants_alive
from desktop_app.ui.fonts import studio_font
from desktop_app.ui.language import LANGUAGE
from desktop_app.ui.preferences import DEFAULT_PATH, Preferences, load_preferences
from desktop_app.ui.stylesheet import stylesheet
from desktop_app.ui.theme import THEME
from desktop_app.ui.translations.text import CHINESE_CODE, ENGLISH_CODE

NAME = "Eyelet"
SIGNAL_CHECK_MS = 200


def make_application() -> QApplication:
    """The one QApplication of this process, in the studio's style."""
    keep_constants_alive()
    found = QApplication.instance()
    application = found if isinstance(found, QApplication) else QApplication([sys.argv[0]])
    if application.applicationName() != NAME:  # putting a style on again polishes every widget anew
        application.setApplicationName(NAME)
        application.setStyle("Fusion")
        application.setFont(studio_font())
    return application


def apply_theme(name: str) -> None:
    """Put `light`, `dark` or the `system`'s theme in force."""
    application = make_application()
    if name == "system":
        from PySide6.QtCore import Qt

        is_dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        name = "dark" if is_dark else "light"
    THEME.choose(name)
    sheet = stylesheet(THEME.current)
    if application.styleSheet() != sheet:  # setting it again polishes every widget anew
        application.setStyleSheet(sheet)


def preferred_language(preferences: Preferences) -> str:
    """The chosen language, else Chinese on a Chinese system, else English."""
    if preferences.language in {ENGLISH_CODE, CHINESE_CODE}:
        return preferences.language
    return CHINESE_CODE if QLocale.system().language() == QLocale.Language.Chinese else ENGLISH_CODE


def needs_screen() -> str:
    """Why no window can be opened here, or nothing."""
    on_linux = sys.platform.startswith("linux")
    has_screen = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    return "" if has_screen or not on_linux else "there is no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set)"


def run_window(project: Path | None = None) -> int:
    """Open the window and stay until it is closed; returns the exit code.

    Raises:
        StudioError: there is no screen, or the project can not be opened.
    """
    if reason := needs_screen():
        raise StudioError(f"the window can not be opened: {reason}", "Use the verbs (eyelet-studio --help), or --screenshots FOLDER.")
    from desktop_app.ui.window import make_window

    application = make_application()
    preferences = load_preferences(DEFAULT_PATH)
    LANGUAGE.choose(preferred_language(preferences))
    apply_theme(preferences.theme)
    window = make_window(preferences, DEFAULT_PATH)
    if project is not None:
        window.open_project(project)
    window.show()
    signal.signal(signal.SIGINT, lambda _number, _frame: window.close())
    timer = QTimer()
    timer.start(SIGNAL_CHECK_MS)
    timer.timeout.connect(lambda: None)  # gives Python a chance to see Ctrl-C
    code = application.exec()
    timer.stop()
    return code
