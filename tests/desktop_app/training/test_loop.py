"""Runs from recipe to model in this process: networks that resume, faults that are injected, nothing left behind."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from desktop_app.data.project import open_project
from desktop_app.errors import DataError, JobCancelledError
from desktop_app.jobs.events import Message, Metric, Progress
from desktop_app.jobs.requests import TrainJob
from desktop_app.training.errors import RecipeError, RunError
from desktop_app.training.images import load_split
from desktop_app.training.loop import train
from desktop_app.training.models import load_estimator, load_network, load_record
from desktop_app.training.runs import CANCELLED, DONE, FAILED, list_runs, load_run, read_curve, save_state
from desktop_app.training.watch import selection_score
from tests.desktop_app.sample_projects import TINY, Listener, make_image_project, train_now


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    project, version = make_image_project(tmp_path_factory.mktemp("loop"))
    with project:
        yield project, version


def weights(run) -> dict[str, np.ndarray]:
    with np.load(run.path / "model.npz", allow_pickle=False) as arrays:
        return {name: np.array(arrays[name]) for name in arrays.files}


def assert_same_weights(first, second) -> None:
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), name


@pytest.fixture(scope="module")
def straight(colours):
    """A run of six epochs that nothing interrupted."""
    return train_now(colours[0], **TINY, epochs=6)


def test_a_run_learns_and_leaves_a_model(colours, straight) -> None:
    project, version = colours
    record = load_record(straight)
    assert straight.state.state == DONE
    assert straight.state.epochs_done == 6
    assert straight.state.validation_accuracy > 0.8
    assert (record.labels, record.kind, record.recipe) == (("blue", "green", "red"), "network", straight.recipe_digest)
    assert record.train_samples == len(version.of_split("train"))
    network = load_network(straight)
    images, labels = load_split(project, version, "test", 8, Listener().context)
    with torch.inference_mode():
        logits = network(torch.from_numpy(images).float())
    assert logits.shape == (len(labels), 3)
    assert (logits.argmax(1).numpy() == labels).mean() > 0.8


def test_a_run_leaves_no_checkpoint_log_or_pickle(straight) -> None:
    found = sorted(path.name for path in straight.path.rglob("*"))
    assert found == ["events.jsonl", "lock", "model.json", "model.npz", "recipe.json", "state.json"]
    assert not Path("lightning_logs").exists()
    assert not Path("checkpoints").exists()


def test_the_curve_has_every_epoch(straight) -> None:
    curve = read_curve(straight)
    assert [point.epoch for point in curve.points] == [1, 2, 3, 4, 5, 6]
    assert curve.points[-1].train_loss < curve.points[0].train_loss
    assert all(point.seconds > 0 and point.validation_accuracy is not None for point in curve.points)
    assert curve.best.epoch == straight.state.best_epoch
    assert curve.best.validation_accuracy == straight.state.validation_accuracy


def test_the_kept_weights_are_those_of_the_best_epoch(colours, straight) -> None:
    project, version = colours
    images, labels = load_split(project, version, "validation", 8, Listener().context)
    with torch.inference_mode():
        right = load_network(straight)(torch.from_numpy(images).float()).argmax(1).numpy() == labels
    assert right.mean() == pytest.approx(straight.state.validation_accuracy)


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(colours, straight) -> None:
    again = train_now(colours[0], **TINY, epochs=6)
    other = train_now(colours[0], **TINY, epochs=6, seed=1)
    assert again.recipe_digest == straight.recipe_digest
    assert_same_weights(again, straight)
    assert not np.array_equal(weights(other)["body.0.0.weight"], weights(straight)["body.0.0.weight"])


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_cancelled_run_goes_on_and_equals_the_straight_one(colours, straight, epoch) -> None:
    project, _ = colours
    listener = Listener(cancel_on=f"epoch {epoch} of 6:")
    with pytest.raises(JobCancelledError):
        train(project, TrainJob(recipe={**TINY, "epochs": 6}), listener.context)
    run = load_run(project, "latest")
    assert (run.state.state, run.state.epochs_done) == (CANCELLED, epoch)
    assert {path.name for path in (run.path / "checkpoints").iterdir()} == {"best.npz", "last.ckpt"}
    resumed = train(project, TrainJob(run_id=run.id), Listener().context)
    assert resumed.id == run.id
    assert resumed.state.state == DONE
    assert_same_weights(resumed, straight)
    assert [p.train_loss for p in read_curve(resumed).points] == [p.train_loss for p in read_curve(straight).points]


def test_a_run_killed_after_its_last_epoch_only_finishes(colours, straight) -> None:
    project, _ = colours
    with pytest.raises(JobCancelledError):
        train(project, TrainJob(recipe={**TINY, "epochs": 6}), Listener(cancel_on="epoch 6 of 6:").context)
    run = train(project, TrainJob(run_id="latest"), Listener().context)
    assert run.state.state == DONE
    assert_same_weights(run, straight)


def test_a_checkpoint_holds_nothing_but_numbers(colours) -> None:
    project, _ = colours
    with pytest.raises(JobCancelledError):
        train(project, TrainJob(recipe={**TINY, "epochs": 3}), Listener(cancel_on="epoch 1 of 3:").context)
    torch.load(load_run(project, "latest").path / "checkpoints" / "last.ckpt", weights_only=True)


def test_progress_and_metrics_are_reported(colours) -> None:
    listener = Listener()
    train(colours[0], TrainJob(recipe={**TINY, "epochs": 2}), listener.context)
    metrics = {(event.name, event.split) for event in listener.events if isinstance(event, Metric)}
    assert metrics == {("loss", "train"), ("loss", "validation"), ("accuracy", "validation"), ("seconds", ""), ("eta_s", "")}
    last = [event for event in listener.events if isinstance(event, Progress)][-1]
    assert last.done == last.total > 0
    texts = [event.text for event in listener.events if isinstance(event, Message)]
    assert any("epoch 2 of 2: train loss" in text for text in texts)


def test_permuted_labels_teach_every_class_wrongly_and_say_so(colours) -> None:
    project, version = colours
    listener = Listener()
    run = train(project, TrainJob(recipe={**TINY, "epochs": 6, "label_permutation_seed": 3}), listener.context)
    images, labels = load_split(project, version, "test", 8, Listener().context)
    with torch.inference_mode():
        right = load_network(run)(torch.from_numpy(images).float()).argmax(1).numpy() == labels
    assert right.mean() < 0.2
    assert run.state.validation_accuracy > 0.8  # consistent with itself
    assert "wrong on purpose" in run.state.notes[0]
    assert run.state.notes[0] in [getattr(event, "text", "") for event in listener.events]


def test_without_a_validation_split_the_last_epoch_is_kept(tmp_path) -> None:
    from desktop_app.data.versions import freeze_version

    project, _ = make_image_project(tmp_path, per_class=6)
    with project:
        version = freeze_version(project, shares=(0.8, 0.0, 0.2))
        assert not version.of_split("validation")
        run = train_now(project, **TINY, epochs=2)
        assert run.state.best_epoch == 2
        assert run.state.validation_accuracy is None


def test_a_failed_run_says_why_and_can_be_resumed(tmp_path) -> None:
    project, version = make_image_project(tmp_path, per_class=6)
    with project:
        lost = project.blob_path(version.of_split("train")[0].sha256)
        kept = lost.read_bytes()
        lost.unlink()
        with pytest.raises(DataError):
            train_now(project, **TINY, epochs=1)
        run = load_run(project, "latest")
        assert run.state.state == FAILED
        assert run.state.error
        lost.write_bytes(kept)
        assert train(project, TrainJob(run_id=run.id), Listener().context).state.state == DONE


def test_wrong_jobs_leave_no_run(colours) -> None:
    project, _ = colours
    before = len(list_runs(project))
    with pytest.raises(RecipeError, match="Did you mean small-cnn"):
        train_now(project, architecture="smallcnn")
    with pytest.raises(RunError, match="not both"):
        train(project, TrainJob(recipe=TINY, run_id="1"), Listener().context)
    assert len(list_runs(project)) == before


def test_a_changed_model_file_is_refused(colours, straight, tmp_path) -> None:
    import shutil

    copied = msgspec.structs.replace(straight, folder=str(shutil.copytree(straight.path, tmp_path / straight.id)))
    (copied.path / "model.npz").write_bytes(b"x" + (copied.path / "model.npz").read_bytes()[1:])
    with pytest.raises(RunError, match="content was changed"):
        load_network(copied)
    with pytest.raises(RunError, match="expected estimator"):
        load_estimator(straight)


def test_an_unfinished_run_has_no_model(colours, straight) -> None:
    from desktop_app.training.runs import create_run

    with pytest.raises(RunError, match="has no model"):
        load_network(create_run(colours[0], straight.recipe))


def test_a_moved_project_resumes(tmp_path) -> None:
    project, _ = make_image_project(tmp_path, per_class=6)
    with project, pytest.raises(JobCancelledError):
        train(project, TrainJob(recipe={**TINY, "epochs": 2}), Listener(cancel_on="epoch 1 of 2:").context)
    moved = (tmp_path / "project").rename(tmp_path / "moved")
    with open_project(moved) as opened:
        assert train(opened, TrainJob(run_id="1"), Listener().context).state.state == DONE


def test_the_better_weights_are_chosen_by_accuracy_then_loss() -> None:
    assert selection_score(0.9, 0.5) > selection_score(0.8, 0.1)
    assert selection_score(0.9, 0.4) > selection_score(0.9, 0.5)
    assert selection_score(None, None) is None


def test_state_names_that_are_never_written(colours, straight) -> None:
    save_state(straight.path, straight.state)
    assert load_run(colours[0], straight.id).state == straight.state
