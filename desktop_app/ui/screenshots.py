"""Renders each page of a project to PNG files without a screen: light, dark, and in Chinese."""

import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from contract.files import write_atomic
from desktop_app.data.catalogue import SampleQuery, list_samples
from desktop_app.data.project import Project
from desktop_app.errors import StudioError
from desktop_app.training.runs import Run
from desktop_app.ui.translations.text import CHINESE_CODE, ENGLISH_CODE

if TYPE_CHECKING:
    from desktop_app.ui.pages.evaluate import EvaluatePage
    from desktop_app.ui.window import StudioWindow

LOOKS = (("light", ENGLISH_CODE, ""), ("dark", ENGLISH_CODE, "-dark"), ("light", CHINESE_CODE, "-zh"))
SETTLED_S = 0.15
DEADLINE_S = 20.0
TICK_S = 0.005


def render_screenshots(folder: Path, project: Path | None = None, server: str = "", token_file: Path | None = None) -> int:
    """Write `<page>.png`, `<page>-dark.png` and `<page>-zh.png` for every page; returns the exit code 0.

    Raises:
        StudioError: the project or the server can not be opened.
    """
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    for path in _render(folder, project, server, token_file):
        print(path)
    return 0


def _render(folder: Path, project: Path | None, server: str, token_file: Path | None) -> Iterator[Path]:
    from desktop_app.ui.app import apply_theme, make_application
    from desktop_app.ui.language import LANGUAGE
    from desktop_app.ui.preferences import Preferences
    from desktop_app.ui.window import make_window

    make_application()
    with tempfile.TemporaryDirectory(prefix="eyelet-screenshots-") as scratch:
        window = make_window(Preferences(), Path(scratch) / "studio.json")
        try:
            apply_theme(LOOKS[0][0])
            if project is not None:
                window.studio.workspace.open(project.absolute())
            window.show()
            if server:
                _connect(window, server, token_file)
            for theme, language, suffix in LOOKS:
                apply_theme(theme)
                LANGUAGE.choose(language)
                yield from _render_pages(window, folder, suffix)
        finally:
            LANGUAGE.choose(ENGLISH_CODE)
            window.close()


def _connect(window: "StudioWindow", server: str, token_file: Path | None) -> None:
    if token_file is None:
        raise StudioError("a server needs the operator's token", "Give it with --token-file FILE (DATA/operator.token of the server).")
    link = window.studio.fleet
    link.connect_to(server, token_file)
    wait_until(lambda: link.is_connected or link.trouble is not None)
    if link.trouble is not None:
        raise StudioError(link.trouble.sentence, link.trouble.advice)


def _render_pages(window: "StudioWindow", folder: Path, suffix: str) -> Iterator[Path]:
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice

    for key in window.pages:
        window.go(key)
        settle(window)
        show_something(window, key)
        settle(window)
        data = QByteArray()
        buffer = QBuffer(data)
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        window.grab().save(buffer, "PNG")
        path = folder / f"{key}{suffix}.png"
        write_atomic(path, bytes(data.data()))
        yield path


def show_something(window: "StudioWindow", key: str) -> None:
    """Choose a sample on the data page, and ask the shipped variant about a test sample on the evaluate page."""
    from desktop_app.ui.pages.data import DataPage
    from desktop_app.ui.pages.evaluate import EvaluatePage

    page, project = window.pages[key], window.studio.workspace.project
    if project is None:
        return
    if isinstance(page, DataPage) and page.model.rowCount() and not page.grid.chosen_samples():
        page.grid.setCurrentIndex(page.model.index(0))
    elif isinstance(page, EvaluatePage):
        _try_test_sample(page, project)


def _try_test_sample(page: "EvaluatePage", project: Project) -> None:
    from desktop_app.ui.questions.results import try_file

    run: Run | None = page.chosen_run
    samples = list_samples(project, query=SampleQuery(split="test", order="mixed"), limit=1)
    if run is None or not samples or not page.try_panel.variant.count():
        return
    answer = try_file(run, page.try_panel.variant.currentText(), project.blob_path(samples[0].sha256))
    page.try_panel.show_answer(dataclasses.replace(answer, name=samples[0].name))


def settle(window: "StudioWindow") -> None:
    """Let questions be answered and thumbnails be decoded."""
    studio, quiet_since = window.studio, time.monotonic()

    def is_settled() -> bool:
        nonlocal quiet_since
        if not (studio.workspace.is_idle and studio.thumbnails.is_idle):
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > SETTLED_S

    wait_until(is_settled)


def wait_until(check: Callable[[], bool]) -> None:
    """Process events until `check` is true, 20 s at most.

    Raises:
        StudioError: it took longer.
    """
    from PySide6.QtWidgets import QApplication

    deadline = time.monotonic() + DEADLINE_S
    while not check():
        if time.monotonic() > deadline:
            raise StudioError(f"a page was not ready after {DEADLINE_S:.0f} s", "Try again when the computer is less busy.")
        QApplication.processEvents()
        time.sleep(TICK_S)
