"""What all pages have: a title row, a place for errors, and content that is empty, on its way, or there."""

from collections.abc import Sequence
from typing import ClassVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from desktop_app.jobs.events import Failed
from desktop_app.ui.job_runner import JobHandle
from desktop_app.ui.language import LANGUAGE
from desktop_app.ui.studio import Studio
from desktop_app.ui.title_row import TitleRow
from desktop_app.ui.tokens import SPACE_L, SPACE_M
from desktop_app.ui.translations.text import Text
from desktop_app.ui.widgets.states import ErrorNote, loading
from desktop_app.ui.workspace import Trouble


class Page(QWidget):
    """A page asks the workspace in `refresh` and shows the answer in `render_again`.

    `topics` are what it wants to hear of; while it is hidden it only notes that it is stale.
    """

    key: ClassVar[str]
    title: ClassVar[Text]
    icon: ClassVar[str]
    topics: ClassVar[frozenset[str]] = frozenset()
    job_names: ClassVar[frozenset[type]] = frozenset()

    def __init__(self, studio: Studio, actions: Sequence[QWidget] = ()) -> None:
        super().__init__()
        self.setProperty("role", "page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.studio = studio
        self.is_stale = True
        self.header = TitleRow(self.title, actions)
        self.error = ErrorNote()
        self.stack = QStackedWidget()
        self.content = QWidget()
        self.content_box = QVBoxLayout(self.content)
        self.content_box.setContentsMargins(0, 0, 0, 0)
        self.content_box.setSpacing(SPACE_M)
        self._loading = loading()
        for state in (self._loading, self.content):
            self.stack.addWidget(state)
        box = QVBoxLayout(self)
        box.setContentsMargins(22, 14, 22, SPACE_L)
        box.setSpacing(SPACE_M)
        box.addWidget(self.header)
        box.addWidget(self.error)
        box.addWidget(self.stack, 1)
        LANGUAGE.changed.connect(self.render_again)
        studio.jobs.ended.connect(self._job_ended)

    def add_state(self, state: QWidget) -> QWidget:
        """Add an empty state."""
        self.stack.addWidget(state)
        return state

    def show_content(self) -> None:
        """The content is there."""
        self.stack.setCurrentWidget(self.content)

    def show_state(self, state: QWidget) -> None:
        """Show an empty state in place of the content."""
        self.stack.setCurrentWidget(state)

    def refresh(self) -> None:
        """Ask for everything that the page shows."""

    def render_again(self) -> None:
        """Show the last answer once more, as the language or theme changed."""

    def tell_trouble(self, trouble: Trouble) -> None:
        """Show an error where the work is."""
        self.error.tell(trouble.whole, trouble.details)

    def _job_ended(self, handle: JobHandle) -> None:
        if type(handle.job) not in self.job_names:
            return
        if isinstance(handle.outcome, Failed):
            outcome = handle.outcome
            self.tell_trouble(Trouble(outcome.error, outcome.advice, outcome.details))
        else:
            self.error.clear()
            self.job_done(handle)

    def job_done(self, handle: JobHandle) -> None:
        """One of the page's jobs was done or cancelled."""
