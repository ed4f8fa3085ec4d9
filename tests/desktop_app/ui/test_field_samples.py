"""From the fleet page to the labelling queue, with a real server."""

from collections.abc import Iterator

import pytest

from desktop_app.data.project import create_project
from desktop_app.ui.window import StudioWindow
from tests.desktop_app.release.field_fleet import FieldFleet, png
from tests.desktop_app.release.live_server import running_server
from tests.desktop_app.ui.conftest import WAIT_MS


@pytest.fixture(scope="module")
def fleet(tmp_path_factory) -> Iterator[FieldFleet]:
    with running_server(tmp_path_factory.mktemp("server") / "data") as server:
        fleet = FieldFleet(server)
        fleet.send("pi-01", png(1))
        fleet.send("pi-02", png(2), label="blue")
        yield fleet


def connect(qtbot, window: StudioWindow, fleet: FieldFleet):
    page = window.pages["fleet"]
    window.go("fleet")
    page.url.setText(fleet.server.url)
    page.token_file.setText(str(fleet.server.token_file))
    page.primary.click()
    qtbot.waitUntil(lambda: window.studio.fleet.is_connected, timeout=WAIT_MS)
    return page


def test_a_click_brings_the_samples_to_the_label_page(qtbot, window: StudioWindow, fleet: FieldFleet, tmp_path, settle):
    create_project(tmp_path / "digits", "digits", "image-classification").close()
    window.open_project(tmp_path / "digits")
    page = connect(qtbot, window, fleet)
    page.samples_button.click()
    assert not page.samples_button.isEnabled()
    qtbot.waitUntil(page.samples_button.isEnabled, timeout=WAIT_MS)
    assert not page.error.isVisible()
    with window.studio.workspace.project.transaction() as db:
        rows = list(db.query("SELECT predicted, source, queued, label FROM samples ORDER BY predicted"))
    assert rows == [{"predicted": said, "source": "device", "queued": 1, "label": None} for said in ("blue", "red")]
    window.go("label")
    settle()


def test_without_a_project_there_is_nowhere_to_bring_them(qtbot, window: StudioWindow, fleet: FieldFleet):
    page = connect(qtbot, window, fleet)
    assert not page.samples_button.isVisible()


def test_a_project_that_takes_no_images_says_so(qtbot, window: StudioWindow, fleet: FieldFleet, tmp_path):
    create_project(tmp_path / "sales", "sales", "tabular-classification").close()
    window.open_project(tmp_path / "sales")
    page = connect(qtbot, window, fleet)
    page.samples_button.click()
    qtbot.waitUntil(page.error.isVisible, timeout=WAIT_MS)
    assert "tabular-classification" in page.error.sentence.text()
    assert page.samples_button.isEnabled()
