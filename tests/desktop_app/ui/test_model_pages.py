"""Train, Evaluate and Ship: each primary action, and what is on disk afterwards."""

from pathlib import Path

import pytest

from contract.package import open_package
from desktop_app.data.catalogue import SampleQuery, list_samples
from desktop_app.data.project import open_project
from desktop_app.data.versions import freeze_version
from desktop_app.evaluation.evaluation import find_evaluation
from desktop_app.jobs.events import Cancelled, Failed
from desktop_app.release.conversion import load_conversion
from desktop_app.training.runs import list_runs, load_run
from desktop_app.ui.window import StudioWindow
from tests.desktop_app.ui.conftest import JOB_TIMEOUT_MS, PASSPHRASE, WAIT_MS, Finished


@pytest.fixture
def at(window: StudioWindow, settle, finished: Finished):
    """Opens the finished project at a page."""

    def open_at(page: str):
        window.open_project(finished.folder)
        window.go(page)
        settle()
        return window.pages[page]

    return open_at


def test_train_makes_a_run_and_shows_its_curve(window: StudioWindow, settle, finish, imported: Path):
    with open_project(imported) as project:
        freeze_version(project)
    window.open_project(imported)
    window.go("train")
    settle()
    page = window.pages["train"]
    assert list(page.cards) == ["small-cnn", "resnet8"]
    page.settings.epochs.setValue(2)
    page.settings.width_field.setValue(4)
    page.primary.click()
    finish()
    with open_project(imported) as project:
        run = load_run(project, "latest")
    assert (run.state.state, run.state.epochs_done, run.recipe.options["width"]) == ("done", 2, 4)
    assert page.epoch.figure.text() == "2 / 2"
    assert len(page.loss_plot.curves[0].x) == 2
    assert page.curve_tables[0].rows.rowCount() == 2
    assert page.runs.chosen() == run.id


def test_without_a_version_the_page_says_where_to_freeze_one(window: StudioWindow, settle, imported: Path):
    window.open_project(imported)
    window.go("train")
    settle()
    page = window.pages["train"]
    assert page.stack.currentWidget() is page.empty
    assert not page.primary.isEnabled()


def test_a_cancelled_run_is_offered_for_resuming(qtbot, at, window: StudioWindow, settle, finished: Finished):
    page = at("train")
    page.settings.epochs.setValue(1000)
    page.primary.click()
    qtbot.waitUntil(
        lambda: window.studio.jobs.current is not None and window.studio.jobs.current.progress is not None, timeout=JOB_TIMEOUT_MS
    )
    assert window.strip.cancel.isVisible()
    window.strip.cancel.click()
    qtbot.waitUntil(lambda: window.studio.jobs.current is None, timeout=WAIT_MS)
    settle()
    assert isinstance(window.studio.jobs.last.outcome, Cancelled)
    with open_project(finished.folder) as project:
        newest = list_runs(project)[0]
    assert newest.state.state in {"cancelled", "interrupted"}
    assert page.resume_button.isVisible()
    assert page.runs.rows.rows[0][1][-1].text.key == "resumable"


def test_evaluate_writes_the_evaluation_and_shows_it(at, finish, settle, finished: Finished):
    page = at("evaluate")
    assert page.accuracy.figure.text() == "–"
    page.primary.click()
    finish()
    with open_project(finished.folder) as project:
        found = find_evaluation(load_run(project, finished.run))
    assert found is not None
    assert page.accuracy.figure.text().startswith(f"{found.accuracy * 100:.1f}")
    assert page.confusion.labels == ("blue", "green", "red")
    assert page.classes.rows.rowCount() == 3
    page.confusion.setFocus()
    page.confusion._choose((0, 0))
    settle()
    assert len(page.samples.samples) == found.confusion[0][0]
    assert 'called "blue"' in page.samples_card.title.text()


def test_try_answers_through_the_engine_and_a_wrong_answer_is_queued(qtbot, at, settle, finished: Finished, pictures: Path):
    page = at("evaluate")
    picture = pictures / "red" / "001.png"
    page.try_panel.zone.dropped.emit(picture)
    qtbot.waitUntil(page.try_panel.result.isVisible, timeout=WAIT_MS)
    assert "onnx-float32" in page.try_panel.facts.text()
    assert page.try_panel.said.text().split()[0] in {"blue", "green", "red"}
    page.try_panel.wrong_button.click()
    settle()
    with open_project(finished.folder) as project:
        queued = list_samples(project, query=SampleQuery(queued=True))
    assert len(queued) == 1
    assert page.try_panel.said.text().startswith(str(queued[0].predicted))


def test_a_file_that_is_no_picture_is_refused_by_try(qtbot, at, tmp_path: Path):
    page = at("evaluate")
    (tmp_path / "letter.png").write_text("dear reader")
    page.try_panel.zone.dropped.emit(tmp_path / "letter.png")
    qtbot.waitUntil(page.error.isVisible, timeout=WAIT_MS)
    assert not page.try_panel.result.isVisible()


def test_ship_builds_a_signed_package(at, finish, finished: Finished):
    page = at("ship")
    assert page.primary.text() == "Build package"
    page.primary.click()
    assert "passphrase" in page.error.sentence.text(), "without it nothing can be signed"
    page.keys.passphrase.setText(PASSPHRASE)
    page.package.model.setText("colours")
    page.primary.click()
    finish()
    built = open_package(finished.folder / "packages" / "colours-1", None)
    assert set(built.manifest.variants) == {"onnx-float32", "onnx-int8"}
    assert (finished.folder / "packages" / "colours-1.eyelet").is_file()
    assert page.primary.text() == "Publish version 1"
    assert page.package.packages.rows.rowCount() == 1


def test_a_wrong_passphrase_is_told_where_the_work_is(qtbot, at, window: StudioWindow):
    page = at("ship")
    page.keys.passphrase.setText("not this one")
    page.primary.click()
    qtbot.waitUntil(lambda: window.studio.jobs.last is not None, timeout=JOB_TIMEOUT_MS)
    assert isinstance(window.studio.jobs.last.outcome, Failed)
    assert page.error.isVisible()
    assert "passphrase" in page.error.sentence.text()


@pytest.mark.slow
def test_ship_converts_a_run(at, finish, finished: Finished):
    import shutil

    shutil.rmtree(finished.folder / "runs" / finished.run / "conversion")
    page = at("ship")
    assert page.stack.currentWidget() is page.unconverted
    assert page.primary.text() == "Convert"
    page.primary.click()
    finish()
    with open_project(finished.folder) as project:
        report = load_conversion(load_run(project, finished.run))
    assert page.variants.rows.rowCount() == len(report.variants) + len(report.refused)
    assert page.stack.currentWidget() is page.content


def test_the_gate_slider_judges_anew(at, finished: Finished):
    page = at("ship")
    with open_project(finished.folder) as project:
        report = load_conversion(load_run(project, finished.run))
    loss = -report.variants["onnx-int8"].evaluation.change
    page.gate.slider.setValue(50)
    assert page.variants.rows.rows[1][1][-1].text.key == ("ok" if loss <= 0.05 else "over the limit")
    page.gate.slider.setValue(0)
    assert page.variants.rows.rows[1][1][-1].text.key == ("ok" if loss <= 1e-9 else "over the limit")
    assert page.gate.limit.text() == "0.0 points"


def test_keys_are_made_once(qtbot, at, window: StudioWindow, finished: Finished, settle):
    import shutil

    shutil.rmtree(finished.keys)
    page = at("ship")
    page.primary.click()
    assert "no signing keys" in page.error.sentence.text()
    page.keys.passphrase.setText(PASSPHRASE)
    page.keys.make_button.click()
    settle()
    assert (finished.keys / "keystore.json").is_file()
    assert not page.keys.make_button.isVisible()
