"""The job behind `package`: a converted run becomes a signed package, if it passes the gates."""

import re
import shutil
import tempfile
from pathlib import Path

import msgspec

from contract.codec import encode
from contract.files import sync_folder, write_atomic
from contract.manifest import Variant
from contract.names import check_id
from contract.package import PACKAGE_SUFFIX, open_package, write_archive, write_manifest
from contract.signing import PrivateKey
from converters.calibration import choose_stratified
from desktop_app.data.project import Project
from desktop_app.errors import ReleaseError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import PackageJob
from desktop_app.release.acceptance import AcceptanceFigures, check_acceptance, save_model_acceptance
from desktop_app.release.draft import Draft, build_manifest, card_facts, listed
from desktop_app.release.frames import bounded
from desktop_app.release.gate_book import GateBook
from desktop_app.release.golden_samples import (
    CANDIDATE_COUNT,
    GOLDEN_COUNT,
    Candidates,
    answer_all,
    choose_golden,
    pick,
    with_golden_tolerance,
    write_golden,
)
from desktop_app.release.keys import KeyStore
from desktop_app.release.model_card import write_card
from desktop_app.release.reference import Answer, build_reference
from desktop_app.release.run_samples import RawSamples, label_indices
from desktop_app.release.subject import Subject, load_subject
from desktop_app.release.version_report import build_report
from edge_agent.engine.engine import open_variant

PACKAGES_FOLDER = "packages"


class BuiltPackage(msgspec.Struct, frozen=True):
    """What was built; `folder` and `archive` are relative to the project, `left_out` says why a variant is not in it."""

    model: str
    version: int
    digest: str
    folder: str
    archive: str
    archive_bytes: int
    variants: tuple[str, ...]
    left_out: dict[str, str]
    acceptance: AcceptanceFigures | None
    gate_override: str


def build_run_package(project: Project, job: PackageJob, context: JobContext) -> BuiltPackage:
    """Build `packages/<model>-<version>/` and the same as one `.eyelet` file.

    Raises:
        ReleaseError: a gate fails and nobody overrides it, the version exists, or the run is not converted.
        desktop_app.errors.KeyStoreError: the keys are missing or the passphrase is wrong.
    """
    model = check_id(job.model, "model")
    key = KeyStore(Path(job.keys_folder), context.secret("passphrase")).model_key(job.key or model)
    subject = load_subject(project, job.run)
    version = _choose_version(project, model, job.version)
    book = GateBook(job.gate_override)
    context.progress(0, 4, "step", "checking the gates")
    variants, left_out = _pass_conversion_gate(subject, book)
    check = check_acceptance(subject, model, variants, book)
    if check is not None:
        variants, left_out = _pass_acceptance(variants, left_out, check.figures, book, subject)
    draft = Draft(subject, model, version, variants, left_out, check, book.in_words)
    built = _build(draft, key, context)
    context.message(f"packaged {model} {version}: {', '.join(built.variants)}; digest {built.digest[:16]}…")
    for name, reason in left_out.items():
        context.message(f"{name} was left out: {reason}")
    return built


def _choose_version(project: Project, model: str, wanted: int | None) -> int:
    pattern = re.compile(rf"{re.escape(model)}-(\d+)(?:{re.escape(PACKAGE_SUFFIX)})?")
    folder = project.folder / PACKAGES_FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    taken = {int(found.group(1)) for name in names if (found := pattern.fullmatch(name))}
    version = max(taken, default=0) + 1 if wanted is None else wanted
    if version in taken:
        raise ReleaseError(
            f"version {version} of {model} is packaged already; a version never changes", "Leave the version out: the next is taken."
        )
    return version


def _pass_conversion_gate(subject: Subject, book: GateBook) -> tuple[dict[str, Variant], dict[str, str]]:
    """Variants that may go in, and why others may not."""
    report = subject.conversion
    failing = {name: result.reason for name, result in report.gates.items() if not result.passed}
    if not failing:
        return dict(report.variants), {}
    passing = {name: variant for name, variant in report.variants.items() if name not in failing}
    if passing and not book.overriding:
        return passing, failing
    words = "; ".join(f"{name} {reason}" for name, reason in failing.items())
    book.fail(f"{'every variant' if not passing else 'a variant'} lost too much: {words}", " ".join(report.remedies))
    return dict(report.variants), {}


def _pass_acceptance(
    variants: dict[str, Variant], left_out: dict[str, str], acceptance: AcceptanceFigures, book: GateBook, subject: Subject
) -> tuple[dict[str, Variant], dict[str, str]]:
    """Leave out what is below the acceptance minimum while its reference is not; an overridden gate leaves all in."""
    if acceptance.scores[subject.reference_of(variants)] < acceptance.minimum:
        return variants, left_out
    low = {
        name: f"acceptance score {score:.3f} is below {acceptance.minimum:.3f}"
        for name, score in acceptance.scores.items()
        if score < acceptance.minimum
    }
    if low and book.overriding:
        book.fail("; ".join(f"{name}: {reason}" for name, reason in low.items()), "")
        return variants, left_out
    return {name: variant for name, variant in variants.items() if name not in low}, {**left_out, **low}


def _build(draft: Draft, key: PrivateKey, context: JobContext) -> BuiltPackage:
    packages = draft.subject.project.folder / PACKAGES_FOLDER
    packages.mkdir(exist_ok=True)
    final = packages / f"{draft.model}-{draft.version}"
    for abandoned in packages.glob(".build.*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=packages, prefix=".build.") as scratch:
        folder = Path(scratch) / final.name
        folder.mkdir()
        digest = _fill(draft, folder, key, context)
        sync_folder(folder)
        if draft.check:
            save_model_acceptance(draft.subject.project, draft.check.fixed)
        folder.replace(final)
    sync_folder(packages)
    context.progress(4, 4, "step", "packing")
    archive = write_archive(final, packages / f"{final.name}{PACKAGE_SUFFIX}")
    open_package(final, {draft.model: key.public})
    return BuiltPackage(
        model=draft.model,
        version=draft.version,
        digest=digest,
        folder=f"{PACKAGES_FOLDER}/{final.name}",
        archive=f"{PACKAGES_FOLDER}/{archive.name}",
        archive_bytes=archive.stat().st_size,
        variants=tuple(draft.variants),
        left_out=draft.left_out,
        acceptance=draft.acceptance,
        gate_override=draft.gate_override,
    )


def _fill(draft: Draft, folder: Path, key: PrivateKey, context: JobContext) -> str:
    """Write every file of the package; returns its digest."""
    for variant in draft.variants.values():
        shutil.copyfile(draft.sources / variant.file, folder / variant.file)
    context.check_cancelled()
    context.progress(1, 4, "step", "choosing golden samples")
    golden = _golden(draft)
    write_golden(folder / "golden.npz", golden)
    context.check_cancelled()
    context.progress(2, 4, "step", "calibrating the drift limit")
    reference = build_reference(_answers(draft), seed=draft.subject.run.recipe.seed)
    write_atomic(folder / "reference.json", encode(reference))
    report = build_report(draft.subject, draft.model, draft.version, draft.acceptance, draft.left_out)
    write_atomic(folder / "report.json", encode(msgspec.structs.replace(report, gate_override=draft.gate_override)))
    context.check_cancelled()
    context.progress(3, 4, "step", "signing")
    manifest = build_manifest(draft, folder, len(golden.samples))
    write_atomic(folder / manifest.model_card, write_card(card_facts(draft, manifest, reference)).encode())
    return write_manifest(folder, msgspec.structs.replace(manifest, files=listed(folder)), key)


def _golden(draft: Draft) -> Candidates:
    """Choose golden samples from the test split and set every variant's tolerance by them."""
    subject = draft.subject
    pool = subject.version.of_split("test") or subject.version.of_split("validation")
    chosen = [pool[i] for i in choose_stratified([sample.label for sample in pool], CANDIDATE_COUNT, subject.run.recipe.seed)]
    samples = [bounded(inputs, subject.spec.inputs) for inputs in RawSamples(subject.project, subject.version, chosen)]
    answers = answer_all(draft.sources, draft.variants, subject.spec, samples)
    candidates = Candidates(samples, label_indices(subject.version, chosen), answers)
    golden = pick(candidates, choose_golden(candidates, draft.reference, GOLDEN_COUNT))
    draft.variants = {name: with_golden_tolerance(variant, name, draft.reference, golden) for name, variant in draft.variants.items()}
    return golden


def _answers(draft: Draft) -> list[Answer]:
    """What the reference variant answers on the validation split (the test split where there is none)."""
    subject = draft.subject
    samples = subject.version.of_split("validation") or subject.version.of_split("test")
    raw = RawSamples(subject.project, subject.version, samples)
    variant = draft.variants[draft.reference]
    with open_variant(draft.sources / variant.file, variant, subject.spec) as engine:
        return [Answer(found.label, found.score) for found in map(engine.predict, raw)]
