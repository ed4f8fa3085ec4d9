"""The window: rail, pages, job strip, toast, commands; the table of pages is here."""

import functools
from pathlib import Path

import msgspec
from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QVBoxLayout, QWidget

from desktop_app.errors import StudioError
from desktop_app.jobs.events import Done
from desktop_app.release.server_client import ServerClient
from desktop_app.ui.app import apply_theme
from desktop_app.ui.commands import Command, CommandPalette
from desktop_app.ui.fleet_link import FleetLink
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.job_runner import JobHandle, JobRunner
from desktop_app.ui.job_strip import JobStrip
from desktop_app.ui.language import LANGUAGE
from desktop_app.ui.pages.data import DataPage
from desktop_app.ui.pages.evaluate import EvaluatePage
from desktop_app.ui.pages.fleet import FleetPage
from desktop_app.ui.pages.home import HomePage
from desktop_app.ui.pages.label import LabelPage
from desktop_app.ui.pages.page import Page
from desktop_app.ui.pages.settings_dialog import SettingsDialog
from desktop_app.ui.pages.ship import ShipPage
from desktop_app.ui.pages.train import TrainPage
from desktop_app.ui.preferences import Preferences, save_preferences, with_recent
from desktop_app.ui.rail import Rail
from desktop_app.ui.studio import Studio
from desktop_app.ui.toast import Toast
from desktop_app.ui.translations.text import CHINESE_CODE, ENGLISH_CODE, Text
from desktop_app.ui.workspace import Trouble, Workspace, trouble_of

PAGES: tuple[type[Page], ...] = (HomePage, DataPage, LabelPage, TrainPage, EvaluatePage, ShipPage, FleetPage)
WINDOW_SIZE = (1440, 900)
SMALLEST_SIZE = (1100, 700)


class StudioWindow(QMainWindow):
    """One project at a time; closing the window ends the job that runs."""

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.studio = studio
        self.setWindowTitle("Eyelet")
        self.resize(*WINDOW_SIZE)
        self.setMinimumSize(*SMALLEST_SIZE)
        self.rail = Rail([(page.key, page.title, page.icon) for page in PAGES])
        self.pages: dict[str, Page] = {page.key: page(studio) for page in PAGES}
        self.stack = QStackedWidget()
        for page in self.pages.values():
            self.stack.addWidget(page)
        self.strip = JobStrip(studio.jobs)
        self._lay_out()
        self.toast = Toast(self)
        studio.toast, studio.go, studio.open_project, studio.remember = self.toast.tell, self.go, self.open_project, self.remember
        self._connect()
        self.go("home")

    def _lay_out(self) -> None:
        right = QVBoxLayout()
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(0)
        right.addWidget(self.stack, 1)
        right.addWidget(self.strip)
        middle = QWidget()
        middle.setProperty("role", "plain")
        line = QHBoxLayout(middle)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(0)
        line.addWidget(self.rail)
        line.addLayout(right, 1)
        self.setCentralWidget(middle)

    def _connect(self) -> None:
        studio = self.studio
        self.rail.page_wanted.connect(self.go)
        self.rail.commands_wanted.connect(self.open_commands)
        self.rail.settings_wanted.connect(self.open_settings)
        studio.workspace.opened.connect(self._on_opened)
        studio.workspace.changed.connect(self._on_changed)
        studio.workspace.troubled.connect(self._tell_trouble)
        studio.jobs.ended.connect(self._on_job_ended)
        studio.jobs.changed.connect(self._on_jobs_changed)
        QShortcut(QKeySequence("Ctrl+K"), self).activated.connect(self.open_commands)
        for at, page in enumerate(PAGES):
            QShortcut(QKeySequence(f"Alt+{at + 1}"), self).activated.connect(lambda key=page.key: self.go(key))

    # pages

    @property
    def current_page(self) -> Page:
        """The page that is shown."""
        page = self.stack.currentWidget()
        if not isinstance(page, Page):
            raise TypeError("the stack holds pages only")
        return page

    def go(self, key: str) -> None:
        """Show a page, with its content as it is now."""
        page = self.pages[key]
        self.rail.check(key)
        self.stack.setCurrentWidget(page)
        page.setFocus()
        if page.is_stale:
            page.is_stale = False
            page.refresh()

    def _tell_trouble(self, trouble: Trouble) -> None:
        self.toast.tell(trouble.whole)

    def _on_opened(self) -> None:
        project = self.studio.workspace.project
        self.studio.thumbnails.clear()
        if project is not None:
            self.rail.show_project(project.name, str(project.folder))
            self.studio.jobs.open(project.folder)

    def _on_changed(self, topics: frozenset[str]) -> None:
        for page in self.pages.values():
            if page.topics & topics:
                page.is_stale = page is not self.current_page
                if not page.is_stale:
                    page.refresh()

    def _on_job_ended(self, handle: JobHandle) -> None:
        if handle.topics:
            self.studio.workspace.changed.emit(handle.topics)
        interested = any(type(handle.job) in page.job_names and page is self.current_page for page in self.pages.values())
        if not interested and not isinstance(handle.outcome, Done):
            self.strip.render_again()

    def _on_jobs_changed(self) -> None:
        """A job began: what it makes may already be there (a run's folder)."""
        current = self.studio.jobs.current
        if current is not None:
            self._on_changed(current.topics)

    # projects and preferences

    def open_project(self, folder: Path) -> None:
        """Open a project; where it can not be opened, the page says why."""
        if self.studio.jobs.current is not None:
            self.toast.tell(Text("A job is running in this project. Cancel it, or wait until it is done."))
            return
        try:
            self.studio.workspace.open(folder.absolute())
        except StudioError as error:
            self.go("home")
            self.pages["home"].tell_trouble(trouble_of(error))
            return
        self.remember(with_recent(self.studio.preferences, folder.absolute()))

    def remember(self, preferences: Preferences) -> None:
        """Keep preferences."""
        if preferences != self.studio.preferences:
            self.studio.preferences = preferences
            save_preferences(self.studio.preferences_path, preferences)

    def choose_theme(self, name: str) -> None:
        """Light, dark, or as the system."""
        apply_theme(name)
        self.remember(msgspec.structs.replace(self.studio.preferences, theme=name))

    def choose_language(self, code: str) -> None:
        """English or Chinese, at once."""
        LANGUAGE.choose(code)
        self.remember(msgspec.structs.replace(self.studio.preferences, language=code))

    # commands

    def commands(self) -> tuple[Command, ...]:
        """Everything that can be done from anywhere."""
        pages = [
            Command(Text("Go to {page}", page=page.title), functools.partial(self.go, page.key), f"Alt+{at + 1}")
            for at, page in enumerate(PAGES)
        ]
        home, current = self.pages["home"], self.current_page
        primary = getattr(current, "primary", None)
        found: list[Command] = (
            [Command(Text("{page}: {action}", page=current.title, action=primary.text()), primary.click)] if primary is not None else []
        )
        return (
            *found,
            *pages,
            Command(Text("Open project…"), home.choose_project),  # type: ignore[attr-defined]
            Command(Text("Theme: light"), lambda: self.choose_theme("light")),
            Command(Text("Theme: dark"), lambda: self.choose_theme("dark")),
            Command(Text("Language: English"), lambda: self.choose_language(ENGLISH_CODE)),
            Command(Text("Language: Chinese"), lambda: self.choose_language(CHINESE_CODE)),
            Command(Text("Cancel the job"), self.studio.jobs.cancel),
        )

    def open_commands(self) -> None:
        """Show the commands."""
        palette = CommandPalette(self, self.commands())
        palette.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        palette.open()

    def open_settings(self) -> None:
        """Show the settings."""
        dialog = SettingsDialog(self, self.studio, self.choose_theme, self.choose_language)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the job, then the requests, then the project."""
        self.studio.fleet.disconnect_from_server()
        self.studio.jobs.close()
        self.studio.workspace.close()
        self.studio.thumbnails.clear()
        super().closeEvent(event)


def make_window(preferences: Preferences, preferences_path: Path) -> StudioWindow:
    """A window with its parts, not yet shown."""
    workspace = Workspace()
    fleet = FleetLink(workspace, ServerClient)

    def locate(sha256: str) -> Path | None:
        return workspace.project.blob_path(sha256) if workspace.project is not None else None

    return StudioWindow(Studio(workspace, JobRunner(), fleet, Thumbnails(locate), preferences, preferences_path))
