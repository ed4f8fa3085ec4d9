"""What every page is given: the workspace, the jobs, the fleet, and ways to say something or go elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from PySide6.QtWidgets import QFileDialog, QWidget

from contract.files import write_atomic
from desktop_app.jobs.requests import Job
from desktop_app.ui.fleet_link import FleetLink
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.job_runner import JobHandle, JobRunner
from desktop_app.ui.preferences import Preferences
from desktop_app.ui.translations.text import Text
from desktop_app.ui.workspace import Workspace


def _nowhere(_page: str) -> None:
    """Before there is a window, there is nowhere to go."""


def _unheard(_sentence: Text | str, _action: Text | None = None, _on_action: Callable[[], object] | None = None) -> None:
    """Before there is a window, nobody hears a toast."""


@dataclass
class Studio:
    """The parts that pages share; no page knows another."""

    workspace: Workspace
    jobs: JobRunner
    fleet: FleetLink
    thumbnails: Thumbnails
    preferences: Preferences
    preferences_path: Path
    go: Callable[[str], None] = _nowhere
    toast: Callable[..., None] = _unheard
    open_project: Callable[[Path], None] = field(default=lambda _folder: None)
    remember: Callable[[Preferences], None] = field(default=lambda _preferences: None)

    def remember_server(self, url: str, token_file: str) -> None:
        """Keep the address of the fleet server for the next start; its token stays in its file."""
        self.remember(msgspec.structs.replace(self.preferences, server=url, token_file=token_file))

    def export(self, asker: QWidget, suffix: str, content: bytes) -> None:
        """Ask for a name and write a chart there."""
        name, _ = QFileDialog.getSaveFileName(asker, str(Text("Save as…")), f"chart.{suffix}", f"*.{suffix}")
        if name:
            done = lambda _none: self.toast(Text("Saved as {name}", name=Path(name).name))  # noqa: E731
            self.workspace.work(asker, "export", lambda: write_atomic(Path(name), content), done)

    def run(self, job: Job, title: Text, topics: frozenset[str], secrets: dict[str, str] | None = None) -> JobHandle:
        """Start a job of the open project."""
        return self.jobs.start(job, title, topics, secrets)
