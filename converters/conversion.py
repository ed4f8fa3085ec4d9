"""One conversion from beginning to end: plan, run the steps, measure every variant, judge it, write the report."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from contract.codec import utc_now
from contract.files import write_atomic
from contract.manifest import Variant
from contract.package import list_files
from converters.errors import ConversionError, SamplesError
from converters.gate import Gate, judge, remedies
from converters.measuring import Measured, evaluate, measure
from converters.onnx_graph import opset_of
from converters.parity import tolerance
from converters.plan import Plan, PlannedStep, Platform, make_plan
from converters.preprocessing import host_steps
from converters.report import ConversionReport, save_report
from converters.samples import EvaluationSet, Sample
from converters.software import machine_name, software_versions
from converters.sources import Source, TorchSource
from converters.step import Material
from converters.steps import STEPS
from converters.targets import TARGETS, file_name

Report = Callable[[int, int, str], None]
"""Progress: done, total, what is under way. It may raise to cancel."""

_SCRATCH = ".convert."


def convert(
    source: Source,
    *,
    targets: Sequence[str],
    calibration: Sequence[Sample],
    evaluation: EvaluationSet,
    folder: Path,
    gate: Gate | None = None,
    report: Report | None = None,
) -> ConversionReport:
    """Convert a model to `targets` and measure each through the engine.

    The float32 reference is always made. A target that can not be made is in `refused` with the
    reason; it does not stop the others. Files and `conversion.json` are in `folder` afterwards.
    Without evaluation samples the calibration samples serve to measure parity.

    Raises:
        ConversionError: no target is possible, the reference itself fails, or samples do not fit.
    """
    if not evaluation.samples and not calibration:
        raise SamplesError("a conversion needs samples to measure with, and none were given")
    plan = make_plan(source.format, targets, STEPS, Platform.here(STEPS.values()), calibrated=bool(calibration))
    measured_on = evaluation if evaluation.samples else EvaluationSet(list(calibration))
    work = _Work(Material(source, calibration), plan, measured_on, report or _silent)
    folder.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.glob(f"{_SCRATCH}*"):  # of a conversion that was killed
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
        _run_steps(work, Path(scratch))
        files = {target: _keep(work.made[target], folder / file_name(target)) for target in plan.targets if target in work.made}
    work.refused.update(plan.refused)
    _measure_all(work, files)
    result = _build_report(work, files, gate or Gate())
    save_report(result, folder)
    return result


@dataclass
class _Work:
    """What the stages of one conversion share, and how far it is."""

    material: Material
    plan: Plan
    evaluation: EvaluationSet
    report: Report
    done: int = 0
    made: dict[str, Path] = field(default_factory=dict)  # by format
    refused: dict[str, str] = field(default_factory=dict)  # by format
    variants: dict[str, Variant] = field(default_factory=dict)
    flipped: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def begin(self, text: str) -> None:
        """Say what begins now."""
        self.report(self.done, len(self.plan.steps) + len(self.plan.targets), text)
        self.done += 1


def _silent(_: int, __: int, ___: str) -> None:
    """Nobody wants to know."""


def _run_steps(work: _Work, scratch: Path) -> None:
    for planned in work.plan.steps:
        work.begin(f"{planned.step.replace('_', ' ')} → {planned.ensures}")
        if planned.requires in work.refused:
            work.refused[planned.ensures] = work.refused[planned.requires]
            continue
        try:
            work.made[planned.ensures] = _run_step(work, planned, scratch)
        except ConversionError as error:
            work.refused[planned.ensures] = error.in_words
    reference = work.plan.reference
    if reference not in work.made:
        raise ConversionError(f"the float32 reference {reference} can not be made: {work.refused[reference]}")


def _run_step(work: _Work, planned: PlannedStep, scratch: Path) -> Path:
    step = STEPS[planned.step]
    suffix = TARGETS[planned.ensures].suffix if planned.ensures in TARGETS else ".onnx"
    output = scratch / (planned.ensures + suffix)
    begin = work.made.get(planned.requires, scratch)
    try:
        step.run(work.material, begin, output)
        step.ensure(work.material, begin, output)
    except (ConversionError, MemoryError):
        raise
    except Exception as error:  # exporters and quantizers raise anything
        first = (str(error).strip().splitlines() or [""])[0][:300]
        raise ConversionError(f"{step.name} failed on this model: {type(error).__name__}: {first}") from error
    return output


def _keep(made: Path, final: Path) -> Path:
    write_atomic(final, made.read_bytes())
    return final


def _measure_all(work: _Work, files: Mapping[str, Path]) -> None:
    source, reference = work.material.source, work.plan.reference
    measured: dict[str, Measured] = {}
    for target in (reference, *(name for name in files if name != reference)):
        work.begin(f"measuring {target} on {len(work.evaluation.samples)} samples")
        variant = _describe(target, source, files[target])
        try:
            measured[target] = measure(files[target], variant, source.spec, work.evaluation.samples)
        except ConversionError as error:
            if target == reference:
                raise
            work.refused[target] = error.in_words
            files[target].unlink()
            continue
        result, parity = evaluate(measured[target], measured[reference], work.evaluation, source.spec)
        bound = tolerance(variant.precision, parity.difference)
        work.flipped[target] = parity.flipped
        work.variants[target] = msgspec.structs.replace(variant, evaluation=result, tolerance=bound)


def _describe(target: str, source: Source, file: Path) -> Variant:
    kind = TARGETS[target]
    return Variant(
        runtime=kind.runtime,
        precision=kind.precision,
        quantization=kind.quantization,
        file=file.name,
        pipeline=host_steps(source.input_size) if kind.runtime == "litert" and isinstance(source, TorchSource) else (),
        opset=opset_of(file) if kind.runtime == "onnx" else 0,
    )


def _build_report(work: _Work, files: Mapping[str, Path], gate: Gate) -> ConversionReport:
    labelled = work.evaluation.labels is not None
    gates = {name: judge(v.evaluation, gate) for name, v in work.variants.items() if labelled and v.evaluation}
    count = len(work.material.calibration)
    return ConversionReport(
        schema_version=ConversionReport.SCHEMA_VERSION,
        source=work.material.source.format,
        reference=work.plan.reference,
        created_at=utc_now(),
        machine=machine_name(),
        labels=work.material.source.spec.labels,
        variants=work.variants,
        files={name: list_files(files[name].parent, [files[name].name])[files[name].name] for name in work.variants},
        refused={name: reason for name, reason in work.refused.items() if name in TARGETS},
        gates=gates,
        flipped=work.flipped,
        remedies=remedies(work.variants, gates, count),
        calibration_count=count,
        evaluation_count=len(work.evaluation.samples),
        labelled=labelled,
        software=software_versions(),
    )
