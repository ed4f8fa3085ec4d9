import pytest

from converters.report import load_report
from desktop_app.errors import JobCancelledError, ReleaseError
from desktop_app.jobs.events import Progress
from desktop_app.jobs.requests import ConvertJob
from desktop_app.release.conversion import calibration_samples, conversion_folder, convert_run, evaluation_set, load_conversion
from desktop_app.training.errors import RunError
from desktop_app.training.models import load_record
from desktop_app.training.planning import find_version
from desktop_app.training.runs import create_run, load_run
from tests.desktop_app.sample_projects import Listener


def test_a_run_is_converted_and_measured_on_its_test_split(project, colours):
    run = load_run(project, colours.good)
    version = find_version(project, run.recipe.dataset_version)
    report = load_conversion(run)
    assert list(report.variants) == ["onnx-float32", "onnx-int8"]
    assert report.evaluation_count == len(version.of_split("test"))
    assert report.labels == ("blue", "green", "red")
    assert report.variants["onnx-float32"].evaluation.score > 0.9
    assert all(result.passed for result in report.gates.values())


def test_calibration_takes_each_class_of_the_training_split_alike(project, colours):
    run = load_run(project, colours.good)
    version = find_version(project, run.recipe.dataset_version)
    train = {sample.sha256 for sample in version.of_split("train")}
    samples = calibration_samples(project, version, load_record(run), 0)
    assert len(samples) == min(128, len(train))
    assert all(sample["frame"].shape == (10, 12, 3) for sample in samples)


def test_evaluation_labels_are_indices_of_the_label_set(project, colours):
    version = find_version(project, load_run(project, colours.good).recipe.dataset_version)
    found = evaluation_set(project, version)
    assert [version.labels[index] for index in found.labels] == [sample.label for sample in version.of_split("test")]
    assert len(found.samples) == len(found.labels)
    assert found.samples[:2][1]["frame"].shape == (10, 12, 3)


def test_converting_again_replaces_the_report_and_says_what_it_does(project, colours):
    listener = Listener()
    report = convert_run(project, ConvertJob(colours.good, ("onnx-float32",), 1.0), listener.context)
    run = load_run(project, colours.good)
    assert load_report(conversion_folder(run)) == report
    steps = [event for event in listener.events if isinstance(event, Progress)]
    assert [event.text for event in steps][-1] == f"measuring onnx-float32 on {report.evaluation_count} samples"
    assert {event.total for event in steps} == {3}


def test_a_cancelled_conversion_leaves_no_half_report(project, colours):
    listener = Listener(cancel_on="join")
    before = load_conversion(load_run(project, colours.good))
    with pytest.raises(JobCancelledError):
        convert_run(project, ConvertJob(colours.good, ("onnx-float32",), 1.0), listener.context)
    assert load_conversion(load_run(project, colours.good)) == before


def test_an_unknown_target_is_refused(project, colours):
    with pytest.raises(ReleaseError, match="'onnx-int4' is not a target format"):
        convert_run(project, ConvertJob(colours.good, ("onnx-int4",), 1.0), Listener().context)


def test_a_run_without_a_model_can_not_be_converted(project, colours):
    unfinished = create_run(project, load_run(project, colours.good).recipe)
    with pytest.raises(RunError, match="has no model"):
        convert_run(project, ConvertJob(unfinished.id, (), 1.0), Listener().context)
    with pytest.raises(ReleaseError, match="is not converted yet"):
        load_conversion(unfinished)
