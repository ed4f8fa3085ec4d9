from pathlib import Path

import pytest

from desktop_app.data.catalogue import SampleQuery
from desktop_app.ui.grid import model as grid_model
from desktop_app.ui.grid import thumbnails as grid_thumbnails
from desktop_app.ui.grid.model import SampleModel
from desktop_app.ui.grid.thumbnails import Thumbnails
from desktop_app.ui.grid.view import SampleGrid
from desktop_app.ui.translations.text import Text
from desktop_app.ui.workspace import Workspace

WAIT_MS = 30_000


@pytest.fixture
def workspace(qtbot, imported: Path):
    made = Workspace()
    made.open(imported)
    yield made
    made.close()


@pytest.fixture
def thumbnails(qtbot, workspace: Workspace):
    made = Thumbnails(workspace.project.blob_path)
    yield made
    made.clear()


def test_pages_are_loaded_as_they_are_looked_at(qtbot, workspace: Workspace, monkeypatch):
    monkeypatch.setattr(grid_model, "PAGE_SIZE", 50)
    model = SampleModel(workspace)
    with qtbot.waitSignal(model.loaded, timeout=WAIT_MS):
        model.show(SampleQuery())
    assert model.rowCount() == 120
    assert model.sample(0) is not None
    assert model.sample(110) is None, "its page is only asked for now"
    qtbot.waitUntil(lambda: model.sample(110) is not None, timeout=WAIT_MS)
    assert len({model.sample(row).id for row in (0, 49, 110, 119)}) == 4


def test_another_query_replaces_what_is_shown(qtbot, workspace: Workspace):
    model = SampleModel(workspace)
    model.show(SampleQuery())
    with qtbot.waitSignal(model.loaded, timeout=WAIT_MS):
        model.show(SampleQuery(label="red"))
    assert model.rowCount() == 40
    assert {model.sample(row).label for row in range(40)} == {"red"}


def test_a_thumbnail_is_decoded_in_the_background_and_kept(qtbot, workspace: Workspace, thumbnails: Thumbnails):
    model = SampleModel(workspace)
    with qtbot.waitSignal(model.loaded, timeout=WAIT_MS):
        model.show(SampleQuery())
    sha256 = model.sample(0).sha256
    with qtbot.waitSignal(thumbnails.ready, timeout=WAIT_MS):
        assert thumbnails.find(sha256, 96) is None
    pixmap = thumbnails.find(sha256, 96)
    assert (pixmap.width(), pixmap.height()) == (96, 80), "12 × 10 pixels, as large as 96 allows"


def test_the_cache_is_bounded_in_bytes(qtbot, workspace: Workspace, thumbnails: Thumbnails, monkeypatch):
    monkeypatch.setattr(grid_thumbnails, "CACHE_BYTES", 5 * 96 * 80 * 4)
    model = SampleModel(workspace)
    with qtbot.waitSignal(model.loaded, timeout=WAIT_MS):
        model.show(SampleQuery())
    for row in range(20):
        thumbnails.find(model.sample(row).sha256, 96)
    qtbot.waitUntil(lambda: thumbnails.is_idle, timeout=WAIT_MS)
    assert thumbnails.size_bytes <= 5 * 96 * 80 * 4


def test_a_file_that_is_no_image_gives_a_null_thumbnail(qtbot, tmp_path: Path):
    (tmp_path / "text").write_text("hello")
    thumbnails = Thumbnails(lambda _sha256: tmp_path / "text")
    with qtbot.waitSignal(thumbnails.ready, timeout=WAIT_MS):
        thumbnails.find("0" * 64, 96)
    assert thumbnails.find("0" * 64, 96).isNull()


def test_only_what_is_on_screen_is_decoded(qtbot, workspace: Workspace, thumbnails: Thumbnails):
    model, grid = SampleModel(workspace), SampleGrid(Text("Samples"), thumbnails)
    qtbot.addWidget(grid)
    grid.setModel(model)
    grid.resize(330, 260)
    grid.show()
    model.show(SampleQuery())
    qtbot.waitUntil(lambda: model.rowCount() == 120 and thumbnails.size_bytes > 0 and thumbnails.is_idle, timeout=WAIT_MS)
    assert thumbnails.size_bytes < 30 * 128 * 107 * 4
