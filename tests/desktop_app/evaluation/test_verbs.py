"""The verbs train, runs and evaluate as a user types them."""

import json

import pytest

from desktop_app.cli import run
from desktop_app.commands.evaluate import most_confused
from tests.desktop_app.sample_projects import make_image_project, make_table_project


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    project, _ = make_table_project(tmp_path_factory.mktemp("verbs"))
    project.close()
    return str(project.folder)


def test_train_evaluate_and_list(fruit, capfd) -> None:
    assert run(["train", "-p", fruit, "-a", "logistic-regression", "--threads", "1", "--seed", "3"]) == 0
    assert "run 0001-logistic-regression is done: logistic-regression, fitted in" in capfd.readouterr().out
    assert run(["evaluate", "-p", fruit]) == 0
    out, err = capfd.readouterr()
    assert (out + err).count("test samples right (95 % interval") == 1
    assert "apple   precision" in out
    assert run(["evaluate", "1", "-p", fruit, "--json"]) == 0
    evaluation = json.loads(capfd.readouterr().out)
    assert evaluation["split"] == "test"
    assert run(["runs", "-p", fruit, "--json"]) == 0
    (entry,) = json.loads(capfd.readouterr().out)
    assert entry["test_accuracy"] == evaluation["accuracy"]
    assert entry["run"]["recipe"]["seed"] == 3
    assert run(["runs", "latest", "-p", fruit]) == 0
    assert "epoch   1  train loss" in capfd.readouterr().out


def test_the_architectures_are_listed(fruit, capfd) -> None:
    assert run(["train", "-p", fruit, "--list"]) == 0
    out = capfd.readouterr().out
    assert "random-forest: " in out
    assert "trees=100" in out
    assert run(["train", "-p", fruit, "--list", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capfd.readouterr().out)] == ["logistic-regression", "random-forest", "gradient-boosting"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--architecture", "random-forrest"], 1, "Did you mean random-forest"),
        (["--epochs", "3"], 1, "epochs means nothing to gradient-boosting"),
        (["--option", "trees"], 2, "expected NAME=VALUE"),
        (["--option", "tree=3"], 1, "Did you mean trees"),
        (["--resume", "9"], 1, "there is no run"),
        (["--resume", "1", "--seed", "2"], 2, "keeps its recipe"),
        (["--version", "7"], 1, "no dataset version 7"),
    ],
)
def test_wrong_wishes_are_answered_at_once(fruit, capfd, arguments, code, words) -> None:
    if "9" in arguments:
        words = "no run"
    assert run(["train", "-p", fruit, *arguments]) == code
    captured = capfd.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_an_augmentation_changes_only_what_was_said(tmp_path) -> None:
    from desktop_app.commands.train import _new_job
    from desktop_app.data.project import open_project

    project, _ = make_image_project(tmp_path, per_class=4)
    project.close()
    nothing = dict.fromkeys(("epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "seed", "threads", "number"))
    wishes = {**nothing, "architecture": "resnet8", "options": ("width=8",), "shift_share": None, "flip": True, "label_permutation_seed": 0}
    with open_project(project.folder) as opened:
        recipe = _new_job(opened, wishes).recipe
    assert recipe["augmentation"] == {"shift_share": 0.125, "flip": True}
    assert recipe["options"] == {"input_size": 32, "width": 8}
    assert recipe["label_permutation_seed"] == 0


def test_runs_of_an_empty_project(tmp_path, capfd) -> None:
    project, _ = make_image_project(tmp_path, per_class=4)
    project.close()
    assert run(["runs", "-p", str(project.folder)]) == 0
    assert "no run yet" in capfd.readouterr().out
    assert run(["evaluate", "-p", str(project.folder)]) == 1
    assert "no run yet" in capfd.readouterr().err


def test_the_pairs_mixed_up_most() -> None:
    assert most_confused(((5, 0, 2), (1, 4, 0), (0, 3, 9)), ("a", "b", "c")) == [
        "c taken for b (3x)",
        "a taken for c (2x)",
        "b taken for a (1x)",
    ]
    assert most_confused(((5, 0), (0, 4)), ("a", "b")) == []
