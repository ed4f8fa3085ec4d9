"""The window as a whole: names for screen readers, Tab, themes, languages, commands, screenshots."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shiboken6
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QScrollBar,
    QSpinBox,
)

from desktop_app.ui import screenshots
from desktop_app.ui.app import apply_theme, make_application
from desktop_app.ui.commands import matches
from desktop_app.ui.preferences import Preferences, load_preferences, save_preferences
from desktop_app.ui.screenshots import render_screenshots
from desktop_app.ui.translations.text import SPEECH
from desktop_app.ui.window import PAGES, StudioWindow, make_window
from tests.desktop_app.ui.conftest import Finished
from tests.simulators.waiting import wait_until

CONTROLS = (QAbstractButton, QAbstractItemView, QAbstractSlider, QComboBox, QLineEdit, QPlainTextEdit, QSpinBox)


@pytest.fixture(scope="module")
def shared(qapp, tmp_path_factory: pytest.TempPathFactory, finished_template: Finished) -> Iterator[StudioWindow]:
    """One window with every page filled, for tests that change nothing in its project."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(finished_template.folder, folder / "project")
    make_application()
    made = make_window(Preferences(projects_folder=str(folder), keys_folder=str(finished_template.keys)), folder / "studio.json")
    made.show()
    made.open_project(folder / "project")
    for page in made.pages:
        made.go(page)
        wait_until(lambda: qapp.processEvents() or made.studio.workspace.is_idle)
    yield made
    made.close()
    shiboken6.delete(made)


@pytest.fixture
def filled(qapp, shared: StudioWindow) -> StudioWindow:
    """The shared window, which takes the keyboard again after another that was open meanwhile."""
    shared.activateWindow()
    wait_until(lambda: qapp.processEvents() or shared.isActiveWindow())
    return shared


def controls(window: StudioWindow):
    """Everything that takes the keyboard, apart from the insides of Qt's own widgets."""
    for kind in CONTROLS:
        for control in window.findChildren(kind):
            inside = (
                isinstance(control, QScrollBar)
                or control.objectName().startswith("qt_")
                or isinstance(control.parent(), (QComboBox, QSpinBox, QLineEdit))
            )
            in_popup = isinstance(control, QAbstractItemView) and control.window() is not window
            header = type(control).__name__ in {"QHeaderView", "QTableCornerButton", "QComboBoxListView"}
            if not (inside or in_popup or header):
                yield control


def test_every_control_has_a_name_for_screen_readers(filled: StudioWindow):
    nameless = [
        f"{type(control).__name__} in {type(control.parent()).__name__}"
        for control in controls(filled)
        if not (control.accessibleName() or (isinstance(control, QAbstractButton) and control.text()))
        and control.metaObject().className() != "QTableCornerButton"
    ]
    assert not nameless, nameless


def test_no_label_reads_data_as_html(filled: StudioWindow):
    assert filled.rail.project.text() == "colours <b>"
    rich = [label.text() for label in filled.findChildren(QLabel) if label.textFormat() != Qt.TextFormat.PlainText and label.text()]
    assert not rich


def test_each_page_has_one_primary_action(filled: StudioWindow):
    for page in filled.pages.values():
        primaries = [button for button in page.header.findChildren(QAbstractButton) if button.property("role") == "primary"]
        assert primaries == [page.primary], page.key


def test_tab_leads_from_the_rail_to_the_primary_action(filled: StudioWindow, qtbot):
    filled.activateWindow()
    filled.go("train")
    filled.rail.links["home"].setFocus()
    seen = []
    for _ in range(40):
        QTest.keyClick(filled.focusWidget(), Qt.Key.Key_Tab)
        seen.append(filled.focusWidget())
        if filled.pages["train"].primary in seen:
            return
    pytest.fail("Tab never reached the primary action")


def test_alt_and_a_digit_go_to_a_page(filled: StudioWindow):
    for at, page in enumerate(PAGES):
        QTest.keyClick(filled, Qt.Key(Qt.Key.Key_1.value + at), Qt.KeyboardModifier.AltModifier)
        assert filled.current_page is filled.pages[page.key]


def test_chinese_is_spoken_at_once_and_everywhere(filled: StudioWindow):
    SPEECH.missing.clear()
    filled.choose_language("zh")
    assert filled.rail.links["train"].text().strip() == "训练"
    assert filled.pages["train"].primary.text() == "训练"
    assert filled.pages["ship"].variants.rows.headerData(1, Qt.Orientation.Horizontal) == "准确率"
    for page in filled.pages:
        filled.go(page)
    filled.choose_language("en")
    assert filled.pages["train"].primary.text() == "Train"
    assert not SPEECH.missing


def test_the_theme_is_changed_at_once_and_remembered(filled: StudioWindow):
    light = filled.grab().toImage().pixelColor(5, 400).name()
    filled.choose_theme("dark")
    dark = filled.grab().toImage().pixelColor(5, 400).name()
    assert (light, dark) == ("#ffffff", "#191f27")
    assert load_preferences(filled.studio.preferences_path).theme == "dark"
    apply_theme("light")


def test_the_style_is_put_on_once(qapp):
    worn = shiboken6.getCppPointer(qapp.style())
    apply_theme("light")
    assert shiboken6.getCppPointer(make_application().style()) == worn


def test_a_project_that_is_opened_is_remembered(filled: StudioWindow):
    assert load_preferences(filled.studio.preferences_path).recent == (str(filled.studio.workspace.folder),)


def test_broken_preferences_are_left_aside(tmp_path: Path):
    (tmp_path / "studio.json").write_text("{")
    assert load_preferences(tmp_path / "studio.json") == Preferences()


def test_commands_are_found_by_their_words(filled: StudioWindow):
    filled.go("train")
    texts = [str(command.text) for command in filled.commands()]
    assert texts[0] == "Train: Train"
    assert [text for text in texts if matches("go ship", text)] == ["Go to Ship"]
    next(command for command in filled.commands() if str(command.text) == "Go to Ship").run()
    assert filled.current_page is filled.pages["ship"]


def test_a_folder_that_is_no_project_is_told_on_home(window: StudioWindow, tmp_path: Path):
    window.open_project(tmp_path)
    assert "no project" in window.pages["home"].error.sentence.text()


def test_a_chart_has_a_table_twin_and_can_be_taken_along(filled: StudioWindow):
    card = filled.pages["ship"].chart_card
    card.switch()
    assert card.is_table
    card.switch()
    assert card.as_csv().decode().splitlines()[0].startswith("Variant,Accuracy")
    assert card.as_png().startswith(b"\x89PNG")
    assert b"<svg" in card.as_svg()


def test_every_page_is_rendered_in_each_look(qtbot, finished: Finished, tmp_path: Path, capsys, monkeypatch):
    assert [(theme, language) for theme, language, _ in screenshots.LOOKS] == [("light", "en"), ("dark", "en"), ("light", "zh")]
    monkeypatch.setattr(screenshots, "LOOKS", (("dark", "zh", "-dark-zh"),))
    assert render_screenshots(tmp_path / "out", finished.folder) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"{page.key}-dark-zh.png" for page in PAGES}
    assert all((tmp_path / "out" / name).stat().st_size > 10_000 for name in names)
    assert len(capsys.readouterr().out.splitlines()) == len(PAGES)


def test_the_keys_folder_of_the_environment_goes_before_the_saved_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_preferences(tmp_path / "studio.json", Preferences(keys_folder="/saved"))
    monkeypatch.setenv("EYELET_KEYS", "/from/the/environment")
    assert load_preferences(tmp_path / "studio.json").keys_folder == "/from/the/environment"
    assert Preferences().keys_folder == "/from/the/environment"
    monkeypatch.delenv("EYELET_KEYS")
    assert load_preferences(tmp_path / "studio.json").keys_folder == "/saved"
