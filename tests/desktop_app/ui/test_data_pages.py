"""Home, Data and Label: each primary action, and what is on disk afterwards."""

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest

from desktop_app.data.catalogue import SampleQuery, count_samples, list_samples
from desktop_app.data.importing import list_imports
from desktop_app.data.labelling_queue import queue_image
from desktop_app.data.project import open_project
from desktop_app.data.versions import load_version
from desktop_app.ui.window import StudioWindow

WAIT_MS = 30_000


def drop(zone, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    everywhere = Qt.DropAction.CopyAction
    zone.dropEvent(QDropEvent(QPointF(5, 5), everywhere, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))


def count(folder: Path, **query: object) -> int:
    with open_project(folder) as project:
        return count_samples(project, SampleQuery(**query))


@pytest.fixture
def at(window: StudioWindow, settle, imported: Path):
    """Opens the imported project at a page."""

    def open_at(page: str, folder: Path = imported):
        window.open_project(folder)
        window.go(page)
        settle()
        return window.pages[page]

    return open_at


def test_a_dropped_folder_becomes_a_project(qtbot, window: StudioWindow, finish, pictures: Path, tmp_path: Path):
    source = tmp_path / "my colours"
    shutil.copytree(pictures, source)
    (source / "red" / "broken.png").write_text("no picture")
    home = window.pages["home"]
    drop(home.zone, source)
    qtbot.waitUntil(home.import_card.isVisible, timeout=WAIT_MS)
    assert home.import_card.name.text() == "my colours"
    home.import_card.confirm.click()
    qtbot.waitUntil(lambda: window.studio.jobs.current is not None, timeout=WAIT_MS)
    finish()
    folder = tmp_path / "projects" / "my colours"
    assert count(folder) == 120
    with open_project(folder) as project:
        refused = list_imports(project)[0].refused
    assert [item.name for item in refused] == ["red/broken.png"]
    assert window.current_page is window.pages["data"]
    assert "1 refused" in window.pages["data"].notice.sentence.text()
    assert window.pages["data"].report_card.table.rows.rows[0][1][2].text == refused[0].reason


def test_a_dropped_table_asks_for_its_target(qtbot, window: StudioWindow, finish, tmp_path: Path):
    table = tmp_path / "flowers.csv"
    table.write_text("width,kind,height\n" + "".join(f"{n},{'ab'[n % 2]},{n * 2}\n" for n in range(40)))
    home = window.pages["home"]
    home.look_at(table)
    qtbot.waitUntil(home.import_card.isVisible, timeout=WAIT_MS)
    home.import_card.target.setCurrentText("kind")
    home.import_card.confirm.click()
    qtbot.waitUntil(lambda: window.studio.jobs.current is not None, timeout=WAIT_MS)
    finish()
    assert count(tmp_path / "projects" / "flowers", label="a") == 20
    table = window.pages["data"].table.rows
    assert table.rowCount() == 40
    assert [str(column.name) for column in table.columns] == ["Class", "Split", "width", "height"]


def test_a_file_that_is_no_source_is_refused_where_it_was_dropped(qtbot, window: StudioWindow, tmp_path: Path):
    (tmp_path / "letter.txt").write_text("dear reader")
    home = window.pages["home"]
    drop(home.zone, tmp_path / "letter.txt")
    qtbot.waitUntil(home.error.isVisible, timeout=WAIT_MS)
    assert "letter.txt" in home.error.sentence.text()
    assert "Drop a folder" in home.error.sentence.text()


def test_home_says_what_a_project_holds_and_leads_to_the_next_step(at, window: StudioWindow, settle):
    home = at("home")
    assert home.tiles["data"].figure.text() == "120"
    assert home.primary.text() == "Freeze a version"
    home.primary.click()
    assert window.current_page is window.pages["data"]


def test_the_sample_project_is_made_of_real_digits(qtbot, window: StudioWindow, finish, tmp_path: Path):
    window.pages["home"].sample_button.click()
    qtbot.waitUntil(lambda: window.studio.jobs.current is not None, timeout=WAIT_MS)
    finish()
    assert count(tmp_path / "projects" / "handwritten-digits") == 1797


def test_freeze_writes_a_version_and_the_acceptance_set(at, finish, imported: Path):
    page = at("data")
    page.freeze_card.acceptance.setValue(12)
    page.freeze_card.seed.setValue(3)
    page.primary.click()
    finish()
    assert (imported / "versions" / "1.json").is_file()
    assert (imported / "acceptance" / "acceptance.json").is_file()
    with open_project(imported) as project:
        version = load_version(project, 1)
    assert (version.seed, len(version.samples)) == (3, 108)
    assert page.header._shown[-1][0].key == "version {n}"
    assert not page.freeze_card.acceptance.isEnabled()


def test_bars_filter_and_a_misspelt_filter_is_told(at, settle):
    page = at("data")
    page.classes._choose("red")
    settle()
    assert page.filter.text() == "label:red"
    assert page.model.rowCount() == 40
    page.filter.setText("lable:red")
    page.apply_filter()
    assert "Did you mean label" in page.error.sentence.text()


def test_a_sample_is_relabelled_excluded_and_both_are_undone(at, window: StudioWindow, settle, imported: Path):
    page = at("data")
    page.grid.setCurrentIndex(page.model.index(0))
    sample = page.model.sample(0)
    assert page.inspector.name.text() == sample.name
    page.inspector._relabel(page.inspector.relabel.findData("blue"))
    settle()
    assert count(imported, label="blue") == (40 if sample.label == "blue" else 41)
    assert page.inspector.label_chip.text() == "blue"
    page.inspector.exclude.click()
    settle()
    assert count(imported, excluded=True) == 1
    window.toast.action.click()
    settle()
    assert count(imported, excluded=True) == 0
    page.undo()
    settle()
    assert count(imported, label="blue") == 40


def test_a_number_key_labels_and_goes_on(at, settle, imported: Path):
    page = at("label")
    page.pile.activated.emit(3)
    settle()
    first = page.model.sample(0)
    page.setFocus()
    QTest.keyClick(page, Qt.Key.Key_2)
    settle()
    assert page.current_row == 1
    with open_project(imported) as project:
        by_id = {sample.id: sample.label for sample in list_samples(project)}
    assert by_id[first.id] == "green"
    QTest.keyClick(page, Qt.Key.Key_Left)
    assert page.current_row == 0
    assert page.label_chip.text() == "green"
    QTest.keyClick(page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    settle()
    with open_project(imported) as project:
        assert {sample.id: sample.label for sample in list_samples(project)}[first.id] == first.label


def test_the_queue_comes_first_and_its_prediction_can_be_accepted(at, settle, imported: Path, pictures: Path):
    body = (pictures / "red" / "000.png").read_bytes()
    with open_project(imported) as project:
        from desktop_app.data.catalogue import set_label

        sample = queue_image(project, body, name="odd.png", predicted="green", predicted_score=0.4)
        set_label(project, [sample.id], None)
        queue_image(project, body, name="odd.png", predicted="green", predicted_score=0.4)
    page = at("label")
    assert page.model.rowCount() == 1
    assert page.primary.text() == 'Accept "green"'
    page.primary.click()
    settle()
    assert count(imported, queued=True) == 0
    assert count(imported, label="green") == 41


def test_x_excludes_and_a_new_class_can_be_typed(at, settle, imported: Path):
    page = at("label")
    page.pile.activated.emit(3)
    settle()
    page.setFocus()
    QTest.keyClick(page, Qt.Key.Key_X)
    settle()
    assert count(imported, excluded=True) == 1
    QTest.keyClicks(page.new_class, "7 ochre")
    QTest.keyClick(page.new_class, Qt.Key.Key_Return)
    settle()
    assert count(imported, label="7 ochre") == 1
    assert "7 ochre" in page.class_buttons
