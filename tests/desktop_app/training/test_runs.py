import msgspec
import pytest

from desktop_app.data.project import create_project
from desktop_app.training.errors import RunError
from desktop_app.training.events import EpochPoint
from desktop_app.training.recipe import Recipe
from desktop_app.training.runs import (
    DONE,
    INTERRUPTED,
    QUEUED,
    RUNNING,
    create_run,
    list_runs,
    load_run,
    locked,
    note_epoch,
    read_run,
    resume_run,
    save_state,
)

RECIPE = Recipe(task="image-classification", dataset_version="a" * 64, architecture="small-cnn")


@pytest.fixture
def project(tmp_path):
    with create_project(tmp_path / "p", "p", "image-classification") as project:
        yield project


def set_state(run, state: str) -> None:
    save_state(run.path, msgspec.structs.replace(run.state, state=state))


def test_runs_are_numbered_and_listed_newest_first(project) -> None:
    assert list_runs(project) == []
    first, second = create_run(project, RECIPE), create_run(project, msgspec.structs.replace(RECIPE, architecture="resnet8"))
    assert [run.id for run in list_runs(project)] == ["0002-resnet8", "0001-small-cnn"]
    assert first.state.state == QUEUED
    assert second.recipe.architecture == "resnet8"
    assert first.recipe_digest == RECIPE.digest


def test_a_run_is_found_by_id_number_and_latest(project) -> None:
    with pytest.raises(RunError, match="no run yet"):
        load_run(project, "latest")
    for _ in range(2):
        create_run(project, RECIPE)
    assert load_run(project, "1").id == load_run(project, "0001").id == load_run(project, "0001-small-cnn").id == "0001-small-cnn"
    assert load_run(project, "latest").id == "0002-small-cnn"
    for name in ("3", "0001-small", "../0001-small-cnn", ""):
        with pytest.raises(RunError, match="there is no run"):
            load_run(project, name)


def test_running_without_a_process_is_interrupted(project) -> None:
    run = create_run(project, RECIPE)
    set_state(run, RUNNING)
    assert read_run(run.path).state.state == INTERRUPTED
    with locked(run):
        assert read_run(run.path).state.state == RUNNING
    assert resume_run(project, run.id).state.state == INTERRUPTED


def test_a_run_at_work_is_refused_elsewhere(project, monkeypatch) -> None:
    monkeypatch.setattr("desktop_app.training.runs.LOCK_WAIT_S", 0.05)
    run = create_run(project, RECIPE)
    with locked(run), pytest.raises(RunError, match="at work in another process"), locked(run):
        pass


def test_a_done_run_has_nothing_to_resume(project) -> None:
    run = create_run(project, RECIPE)
    set_state(run, DONE)
    with pytest.raises(RunError, match="nothing to resume"):
        resume_run(project, run.id)


def test_a_broken_run_is_left_out_of_the_list_and_refused_by_name(project, caplog) -> None:
    create_run(project, RECIPE)
    broken = create_run(project, RECIPE)
    (broken.path / "state.json").write_text('{"state": 3}')
    assert [run.id for run in list_runs(project)] == ["0001-small-cnn"]
    assert "can not be read" in caplog.text
    with pytest.raises(RunError, match="can not be read"):
        load_run(project, broken.id)


def test_epochs_are_counted_and_the_best_is_kept(project) -> None:
    run = create_run(project, RECIPE)
    note_epoch(run.path, EpochPoint(1, 0.5, 0.4, 0.9, seconds=1.5, best=True))
    note_epoch(run.path, EpochPoint(2, 0.4, 0.5, 0.8, seconds=1.0))
    state = read_run(run.path).state
    assert (state.epochs_done, state.best_epoch, state.validation_accuracy, state.seconds) == (2, 1, 0.9, 2.5)


def test_a_moved_project_keeps_its_runs(project, tmp_path) -> None:
    from desktop_app.data.project import open_project

    create_run(project, RECIPE)
    project.close()
    moved = (tmp_path / "p").rename(tmp_path / "q")
    with open_project(moved) as opened:
        assert load_run(opened, "1").path == moved / "runs" / "0001-small-cnn"
