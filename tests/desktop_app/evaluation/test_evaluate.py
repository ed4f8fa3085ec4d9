import numpy as np
import pytest

from converters.conversion import convert
from converters.samples import EvaluationSet
from converters.sources import FileSource
from desktop_app.errors import EvaluationError, JobCancelledError
from desktop_app.evaluation.evaluate import evaluate
from desktop_app.evaluation.evaluation import find_evaluation, in_words, load_predictions
from desktop_app.evaluation.scoring import open_scorer
from desktop_app.jobs.requests import EvaluateJob
from desktop_app.tasks import TASKS
from desktop_app.training.errors import RunError
from desktop_app.training.models import load_record
from desktop_app.training.runs import create_run
from tests.desktop_app.sample_projects import TINY, Listener, make_image_project, make_table_project, train_now


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    project, version = make_image_project(tmp_path_factory.mktemp("images"))
    with project:
        yield project, version, train_now(project, **TINY, epochs=4)


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    project, version = make_table_project(tmp_path_factory.mktemp("table"))
    with project:
        yield project, version, train_now(project, architecture="logistic-regression", threads=1)


def test_an_evaluation_is_kept_and_agrees_with_its_predictions(colours) -> None:
    project, version, run = colours
    found = evaluate(project, EvaluateJob(run.id), Listener().context)
    samples = version.of_split("test")
    assert find_evaluation(run) == found
    assert (found.run, found.split, found.scored_by, found.samples) == (run.id, "test", "network", len(samples))
    scores, labels, sha256s = load_predictions(run)
    assert sha256s == tuple(sample.sha256 for sample in samples)
    assert [version.labels[label] for label in labels] == [sample.label for sample in samples]
    assert scores.sum(axis=1) == pytest.approx(np.ones(len(samples)), abs=1e-5)
    assert found.accuracy == (scores.argmax(1) == labels).mean()
    assert sum(map(sum, found.confusion)) == len(samples)
    assert found.interval95[0] <= found.accuracy <= found.interval95[1]
    assert in_words(found).startswith(f"{100 * found.accuracy:.1f} % of {len(samples)} test samples right (95 % interval ")


def test_another_split_has_files_of_its_own(colours) -> None:
    project, _, run = colours
    evaluate(project, EvaluateJob(run.id, "validation"), Listener().context)
    assert find_evaluation(run, "validation").accuracy == pytest.approx(run.state.validation_accuracy)
    assert {"evaluation-validation.json", "predictions-validation.npz"} <= {path.name for path in run.path.iterdir()}
    assert find_evaluation(run, "train") is None
    with pytest.raises(EvaluationError, match="not evaluated on the train split"):
        load_predictions(run, "train")


def test_a_run_trained_on_permuted_labels_is_found_out(colours) -> None:
    project, version, _ = colours
    run = train_now(project, **TINY, epochs=6, label_permutation_seed=2)
    found = evaluate(project, EvaluateJob(run.id), Listener().context)
    assert found.accuracy < 0.2
    assert "wrong on purpose" in found.notes[0]
    names = {sample.sha256: sample for sample in version.of_split("test")}
    scores = [worst.score for worst in found.worst]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == found.samples - found.right
    assert all(names[worst.sha256].label == worst.label != worst.predicted for worst in found.worst)
    assert found.worst[0].name.endswith(".png")


def test_a_converted_variant_answers_through_the_devices_engine(fruit, tmp_path) -> None:
    project, version, run = fruit
    before = evaluate(project, EvaluateJob(run.id), Listener().context)
    assert before.scored_by == "estimator"
    record = load_record(run)
    samples = list(TASKS[version.task].raw_inputs(project, version, version.of_split("test")))
    with pytest.raises(EvaluationError, match="is not converted"), open_scorer(run, "onnx-float32"):
        pass
    convert(
        FileSource(run.path / record.file, record.spec),
        targets=("onnx-float32",),
        calibration=(),
        evaluation=EvaluationSet(samples),
        folder=run.path / "conversion",
    )
    after = evaluate(project, EvaluateJob(run.id), Listener().context)
    assert after.scored_by == "onnx-float32"
    assert after.confusion == before.confusion
    assert after.log_loss == pytest.approx(before.log_loss, abs=1e-4)
    with pytest.raises(EvaluationError, match="has no variant 'onnx-int3'"), open_scorer(run, "onnx-int3"):
        pass


def test_wrong_questions_are_answered_in_words(colours) -> None:
    project, _, run = colours
    with pytest.raises(EvaluationError, match="no split 'exam'"):
        evaluate(project, EvaluateJob(run.id, "exam"), Listener().context)
    with pytest.raises(RunError, match="there is no run"):
        evaluate(project, EvaluateJob("0099-none"), Listener().context)
    unfinished = create_run(project, run.recipe)
    with pytest.raises(RunError, match="has no model"):
        evaluate(project, EvaluateJob(unfinished.id), Listener().context)


def test_an_empty_split_is_refused(tmp_path) -> None:
    from desktop_app.data.versions import freeze_version

    project, _ = make_image_project(tmp_path, per_class=5)
    with project:
        freeze_version(project, shares=(0.8, 0.2, 0.0))
        run = train_now(project, **TINY, epochs=1)
        with pytest.raises(EvaluationError, match="has no test samples"):
            evaluate(project, EvaluateJob(run.id), Listener().context)


def test_an_evaluation_can_be_cancelled_and_leaves_nothing(fruit) -> None:
    project, _, run = fruit
    listener = Listener()
    listener.context.cancel()
    with pytest.raises(JobCancelledError):
        evaluate(project, EvaluateJob(run.id, "train"), listener.context)
    assert find_evaluation(run, "train") is None


def test_broken_files_are_refused(colours) -> None:
    project, _, run = colours
    evaluate(project, EvaluateJob(run.id, "validation"), Listener().context)
    (run.path / "evaluation-validation.json").write_text("{")
    (run.path / "predictions-validation.npz").write_bytes(b"PK")
    with pytest.raises(EvaluationError, match="can not be read"):
        find_evaluation(run, "validation")
    with pytest.raises(EvaluationError, match="can not be read"):
        load_predictions(run, "validation")
