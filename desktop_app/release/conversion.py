"""The job behind `convert`: a finished run becomes variants, measured on its test split through the device's engine."""

from pathlib import Path

from converters.calibration import CALIBRATION_COUNT, choose_stratified
from converters.conversion import Report, convert
from converters.errors import ConversionError
from converters.gate import Gate
from converters.report import ConversionReport, load_report
from converters.samples import EvaluationSet
from converters.sources import FileSource, Source, TorchSource
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion
from desktop_app.errors import ReleaseError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import ConvertJob
from desktop_app.release.frames import bounded
from desktop_app.release.run_samples import RawSamples, label_indices
from desktop_app.tasks.task import RawInputs
from desktop_app.training.architecture import NETWORK
from desktop_app.training.models import ModelRecord, load_network, load_record
from desktop_app.training.planning import find_version
from desktop_app.training.runs import Run, load_run

CONVERSION_FOLDER = "conversion"
DEFAULT_TARGETS = {
    "image-classification": ("onnx-float32", "onnx-int8", "litert-float32", "litert-int8"),
    "tabular-classification": ("onnx-float32",),
}
_POINTS = 100


def conversion_folder(run: Run) -> Path:
    """Where a run's variants and `conversion.json` lie."""
    return run.path / CONVERSION_FOLDER


def load_conversion(run: Run) -> ConversionReport:
    """The report of a run's conversion.

    Raises:
        ReleaseError: the run is not converted yet, or the report can not be read.
    """
    try:
        return load_report(conversion_folder(run))
    except ConversionError as error:
        raise ReleaseError(f"run {run.id} is not converted yet", f"Convert it: eyelet-studio convert {run.id}") from error


def convert_run(project: Project, job: ConvertJob, context: JobContext) -> ConversionReport:
    """Convert a run; calibrates on its training split, evaluates on its test split.

    Raises:
        ReleaseError: the dataset version has no samples to measure with, or nothing could be converted.
        desktop_app.training.errors.RunError: the run is not done.
    """
    run = load_run(project, job.run)
    record = load_record(run)
    version = find_version(project, run.recipe.dataset_version)
    context.message(f"converting run {run.id}: {version_words(version)}")
    try:
        return convert(
            source_of(run, record),
            targets=job.targets or DEFAULT_TARGETS[record.task],
            calibration=calibration_samples(project, version, record, run.recipe.seed),
            evaluation=evaluation_set(project, version),
            folder=conversion_folder(run),
            gate=Gate(job.max_loss / _POINTS, None if job.max_class_loss is None else job.max_class_loss / _POINTS),
            report=_reporter(context),
        )
    except ConversionError as error:
        raise ReleaseError(f"run {run.id} can not be converted: {error}", error.advice) from error


def source_of(run: Run, record: ModelRecord) -> Source:
    """The run's model as the converters take it: a network in memory, or the ONNX file of a classical model."""
    if record.kind == NETWORK:
        side = int(run.recipe.options["input_size"])
        return TorchSource(load_network(run), record.spec, (side, side))
    return FileSource(run.path / record.file, record.spec)


def calibration_samples(project: Project, version: DatasetVersion, record: ModelRecord, seed: int) -> list[RawInputs]:
    """Up to 128 samples of the training split, as many of each class as possible."""
    train = version.of_split("train")
    chosen = choose_stratified([sample.label for sample in train], CALIBRATION_COUNT, seed)
    return [bounded(inputs, record.inputs) for inputs in RawSamples(project, version, [train[index] for index in chosen])]


def evaluation_set(project: Project, version: DatasetVersion) -> EvaluationSet:
    """The test split (the validation split where a version has none).

    Raises:
        ReleaseError: the version has neither.
    """
    for split in ("test", "validation"):
        samples = version.of_split(split)
        if samples:
            return EvaluationSet(RawSamples(project, version, samples), label_indices(version, samples))
    raise ReleaseError(
        f"dataset version {version.number} has neither test nor validation samples to measure with", "Freeze one with larger shares."
    )


def version_words(version: DatasetVersion) -> str:
    """A dataset version in a few words."""
    return f"dataset version {version.number}, {len(version.of_split('test'))} test samples, {len(version.labels)} classes"


def _reporter(context: JobContext) -> Report:
    def report(done: int, total: int, text: str) -> None:
        context.check_cancelled()
        context.progress(done, total, "step", text)

    return report
