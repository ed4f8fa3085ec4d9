"""The acceptance set of a registered model: made with its first version, with a minimum that stays; later versions must reach it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from contract.acceptance import AcceptanceSet, label_set_digest, minimum_score
from contract.codec import decode, encode
from contract.errors import ContractError
from contract.files import check_file, read_bounded, write_atomic
from contract.manifest import Variant, golden_input_key
from contract.names import check_id
from contract.package import list_files
from desktop_app.data.acceptance_set import find_acceptance
from desktop_app.data.project import Project
from desktop_app.errors import ReleaseError
from desktop_app.release.conversion import conversion_folder
from desktop_app.release.frames import bounded
from desktop_app.release.gate_book import GateBook
from desktop_app.release.golden_samples import write_arrays
from desktop_app.release.run_samples import RawSamples, acceptance_samples, label_indices
from desktop_app.release.subject import Subject
from edge_agent.engine.engine import open_variant
from edge_agent.engine.errors import InputError
from edge_agent.engine.golden import load_acceptance, score_acceptance
from edge_agent.engine.model_spec import ModelSpec

SET_NAME = "acceptance.json"
SAMPLES_NAME = "acceptance.npz"
_SET_MAX_BYTES = 64 * 1024
_BETTER = "Look at what the run gets wrong (eyelet-studio evaluate), then train again."


class AcceptanceFigures(msgspec.Struct, frozen=True):
    """How a version's variants did on the model's acceptance set; all scores are shares from 0 to 1."""

    minimum: float
    count: int
    scores: dict[str, float]  # by variant


def acceptance_folder(project: Project, model: str) -> Path:
    """Where a model's acceptance set lies: `acceptance.json` (an `AcceptanceSet`) and `acceptance.npz`."""
    return project.folder / "acceptance" / check_id(model, "model")


def find_model_acceptance(project: Project, model: str) -> AcceptanceSet | None:
    """The acceptance set of a model, its samples' file checked; None before its first version.

    Raises:
        ReleaseError: it is broken or was changed.
    """
    folder = acceptance_folder(project, model)
    if not (folder / SET_NAME).is_file():
        return None
    try:
        found = decode(read_bounded(folder / SET_NAME, _SET_MAX_BYTES), AcceptanceSet, "the acceptance set", _SET_MAX_BYTES)
        check_file(folder / SAMPLES_NAME, found.samples.sha256, found.samples.size_bytes)
    except (OSError, ContractError) as error:
        raise ReleaseError(f"the acceptance set of {model} can not be read: {error}", "Restore the project from a backup.") from error
    return found


def write_samples(path: Path, samples: Sequence[Mapping[str, np.ndarray]], labels: Sequence[int]) -> None:
    """Write raw inputs and labels, int64 (N,), as devices read them."""
    arrays = {golden_input_key(index, name): array for index, inputs in enumerate(samples) for name, array in inputs.items()}
    write_arrays(path, {**arrays, "labels": np.array(labels, np.int64)})


def score_variants(samples_file: Path, folder: Path, variants: Mapping[str, Variant], spec: ModelSpec) -> dict[str, float]:
    """Share of the acceptance set that each variant gets right, through the engine that devices use.

    Raises:
        ReleaseError: the samples do not fit the model.
    """
    try:
        samples, labels = load_acceptance(samples_file, spec)
    except InputError as error:
        raise ReleaseError(f"the acceptance set does not fit this model: {error}") from error
    scores = {}
    for name, variant in variants.items():
        with open_variant(folder / variant.file, variant, spec) as engine:
            scores[name] = score_acceptance(engine, samples, labels)
    return scores


def _first_acceptance(subject: Subject, model: str, desk_score: float) -> AcceptanceSet:
    """A model's acceptance set with the minimum that its first version's score gives; the samples' file lies there already."""
    folder = acceptance_folder(subject.project, model)
    _, labels = load_acceptance(folder / SAMPLES_NAME, subject.spec)
    least = round(minimum_score(desk_score, len(labels)), 4)
    return AcceptanceSet(
        schema_version=AcceptanceSet.SCHEMA_VERSION,
        model=model,
        task=subject.spec.task,
        label_set_digest=label_set_digest(subject.spec.labels),
        samples=list_files(folder, [SAMPLES_NAME])[SAMPLES_NAME],
        count=len(labels),
        metric="accuracy",
        minimum_score=least,
        desk_score=desk_score,
        margin=round(desk_score - least, 4),
    )


def save_model_acceptance(project: Project, fixed: AcceptanceSet) -> None:
    """Fix a model's acceptance set and minimum for all its later versions, unless they are fixed already."""
    path = acceptance_folder(project, fixed.model) / SET_NAME
    if not path.exists():
        write_atomic(path, encode(fixed), mode=0o444)


def check_label_set(fixed: AcceptanceSet, spec: ModelSpec) -> None:
    """Refuse a version whose labels are not those of the model's acceptance set.

    Raises:
        ReleaseError: they differ.
    """
    if fixed.label_set_digest != label_set_digest(spec.labels) or fixed.task != spec.task:
        raise ReleaseError(
            f"the classes of this run ({', '.join(spec.labels)[:120]}) are not those that model {fixed.model} was registered with",
            "Package it as another model with --model NAME.",
        )


class AcceptanceCheck(NamedTuple):
    """How the variants did, and the set they did it on, which is saved once the package is built."""

    figures: AcceptanceFigures
    fixed: AcceptanceSet


def check_acceptance(subject: Subject, model: str, variants: Mapping[str, Variant], book: GateBook) -> AcceptanceCheck | None:
    """Score every variant on the model's acceptance set; a first version gives set and minimum.

    None where the project has no acceptance set and a person overrides that.

    Raises:
        ReleaseError: there is no set, it does not fit, or the reference is below the minimum and nobody overrides.
    """
    fixed = find_model_acceptance(subject.project, model)
    if fixed is not None:
        check_label_set(fixed, subject.spec)
    elif not _write_first(subject, model, book):
        return None
    samples_file = acceptance_folder(subject.project, model) / SAMPLES_NAME
    scores = score_variants(samples_file, conversion_folder(subject.run), variants, subject.spec)
    reference = scores[subject.reference_of(variants)]
    if fixed is None:
        fixed = _first_acceptance(subject, model, reference)
        _check_better_than_guessing(samples_file, subject, reference, book)
    elif reference < fixed.minimum_score:
        book.fail(
            f"acceptance score {_percent(reference)} of {fixed.count} samples is below the minimum of {_percent(fixed.minimum_score)}",
            _BETTER,
        )
    return AcceptanceCheck(AcceptanceFigures(fixed.minimum_score, fixed.count, scores), fixed)


def _check_better_than_guessing(samples_file: Path, subject: Subject, score: float, book: GateBook) -> None:
    """A first version that knows no more than the commonest class would fix a minimum that refuses nothing."""
    _, labels = load_acceptance(samples_file, subject.spec)
    guessing = float(np.bincount(labels).max() / len(labels))
    if score <= guessing:
        book.fail(f"acceptance score {_percent(score)} is no better than always naming the commonest class ({_percent(guessing)})", _BETTER)


def _write_first(subject: Subject, model: str, book: GateBook) -> bool:
    """Write the samples of the project's acceptance set as raw inputs; False where it has none."""
    frozen = find_acceptance(subject.project)
    if frozen is None:
        book.fail("the project has no acceptance set", "Freeze one first: eyelet-studio acceptance --count 100.")
        return False
    if frozen.label_set_digest != label_set_digest(subject.spec.labels):
        before, now = (", ".join(labels)[:120] for labels in (frozen.labels, subject.spec.labels))
        raise ReleaseError(
            f"the acceptance set was frozen for the classes {before}; this run knows {now}",
            "Train on a dataset version with the same classes.",
        )
    chosen = acceptance_samples(subject.project, frozen, subject.version)
    raw = RawSamples(subject.project, subject.version, chosen)
    write_samples(
        acceptance_folder(subject.project, model) / SAMPLES_NAME,
        [bounded(inputs, subject.spec.inputs) for inputs in raw],
        label_indices(subject.version, chosen),
    )
    return True


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
