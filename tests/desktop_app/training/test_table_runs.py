import numpy as np
import pytest

from desktop_app.errors import TrainingError
from desktop_app.tasks import TASKS
from desktop_app.training.errors import RunError
from desktop_app.training.models import load_estimator, load_network, load_record
from desktop_app.training.planning import plan_recipe
from desktop_app.training.runs import read_curve
from desktop_app.training.table_runs import _fit, frame_of
from tests.desktop_app.sample_projects import Listener, make_table_project, train_now

ESTIMATORS = [
    ("logistic-regression", {}),
    ("random-forest", {"trees": 12}),
    ("gradient-boosting", {"trees": 12}),
]


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    project, version = make_table_project(tmp_path_factory.mktemp("table"))
    with project:
        yield project, version


@pytest.mark.parametrize(("architecture", "options"), ESTIMATORS)
def test_a_table_run_is_kept_as_onnx_that_answers_alike(fruit, architecture, options) -> None:
    project, version = fruit
    run = train_now(project, architecture=architecture, options=options, threads=1)
    record = load_record(run)
    assert (record.kind, record.file, record.labels) == ("estimator", "model.onnx", ("apple", "banana", "grape"))
    assert [(spec.name, spec.dtype) for spec in record.inputs] == [
        ("weight g", "float32"),
        ("length", "float32"),
        ("seeds", "float32"),
        ("skin", "string"),
    ]
    assert run.state.validation_accuracy > 0.85
    assert sorted(path.name for path in run.path.iterdir()) == [
        "events.jsonl",
        "lock",
        "model.json",
        "model.onnx",
        "recipe.json",
        "state.json",
    ]
    samples = version.of_split("test")
    expected = _fit(run.recipe, version, version.of_split("train"), Listener().context).predict_proba(frame_of(version.columns, samples))
    with load_estimator(run) as engine:
        found = np.stack([engine.predict(sample).scores for sample in TASKS[version.task].raw_inputs(project, version, samples)])
    assert np.abs(found - expected).max() < 1e-4


def test_missing_and_unknown_values_get_an_answer(fruit) -> None:
    run = train_now(fruit[0], architecture="logistic-regression", threads=1)
    sample = {name: np.array([np.nan], np.float32) for name in ("weight g", "length", "seeds")}
    with load_estimator(run) as engine:
        for skin in ("", "purple"):
            scores = engine.predict({**sample, "skin": np.array([skin], dtype=object)}).scores
            assert np.isfinite(scores).all()
            assert scores.sum() == pytest.approx(1, abs=1e-4)


def test_the_curve_of_a_table_run_has_one_point(fruit) -> None:
    run = train_now(fruit[0], architecture="random-forest", options={"trees": 3}, threads=1)
    (point,) = read_curve(run).points
    assert point.validation_accuracy == run.state.validation_accuracy
    with pytest.raises(RunError, match="expected network"):
        load_network(run)


def test_the_same_recipe_gives_the_same_bytes(fruit) -> None:
    runs = [train_now(fruit[0], architecture="random-forest", options={"trees": 3}, threads=1, seed=4) for _ in range(2)]
    assert load_record(runs[0]).sha256 == load_record(runs[1]).sha256


def test_permuted_labels_make_a_table_run_wrong(fruit) -> None:
    project, version = fruit
    run = train_now(project, architecture="logistic-regression", threads=1, label_permutation_seed=1)
    samples = version.of_split("test")
    with load_estimator(run) as engine:
        answers = [engine.predict(sample).label for sample in TASKS[version.task].raw_inputs(project, version, samples)]
    assert np.mean([answer == sample.label for answer, sample in zip(answers, samples, strict=True)]) < 0.2


def test_a_training_split_without_a_class_is_refused(fruit) -> None:
    import msgspec

    from desktop_app.training.table_runs import _check

    _, version = fruit
    assert plan_recipe(version, {}).architecture == "gradient-boosting"
    with pytest.raises(TrainingError, match="no sample of pear"):
        _check(msgspec.structs.replace(version, labels=(*version.labels, "pear")), version.of_split("train"))
    with pytest.raises(TrainingError, match="no columns"):
        _check(msgspec.structs.replace(version, columns=()), version.of_split("train"))
