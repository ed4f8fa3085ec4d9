"""A package under way: what is decided so far, and the manifest that follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from contract.codec import utc_now
from contract.manifest import FileEntry, Lineage, Manifest, Requirements, Variant
from contract.package import list_files
from contract.reference import Reference
from desktop_app.evaluation.evaluation import find_evaluation
from desktop_app.release.acceptance import AcceptanceCheck, AcceptanceFigures
from desktop_app.release.conversion import conversion_folder
from desktop_app.release.model_card import CardFacts
from desktop_app.release.subject import Subject

_RUNTIME_BYTES = 64 << 20  # what a worker with a runtime takes before it loads a model
_MODEL_FACTOR = 4  # weights, their packed copy, activations


@dataclass
class Draft:
    """What is decided so far; `check` is None where the lack of an acceptance set was overridden."""

    subject: Subject
    model: str
    version: int
    variants: dict[str, Variant]
    left_out: dict[str, str]
    check: AcceptanceCheck | None
    gate_override: str
    created_at: str = field(default_factory=utc_now)

    @property
    def acceptance(self) -> AcceptanceFigures | None:
        """How the variants did on the acceptance set."""
        return self.check.figures if self.check else None

    @property
    def reference(self) -> str:
        """The variant with which the others are compared."""
        return self.subject.reference_of(self.variants)

    @property
    def sources(self) -> Path:
        """The folder of the variants' files."""
        return conversion_folder(self.subject.run)


def build_manifest(draft: Draft, folder: Path, golden_count: int) -> Manifest:
    """The manifest but for the model card's digest."""
    subject = draft.subject
    return Manifest(
        schema_version=Manifest.SCHEMA_VERSION,
        name=draft.model,
        version=draft.version,
        task=subject.spec.task,
        created_at=draft.created_at,
        labels=subject.spec.labels,
        inputs=subject.spec.inputs,
        outputs=subject.spec.outputs,
        variants=draft.variants,
        files=listed(folder),
        thresholds=dict(subject.spec.thresholds),
        golden_count=golden_count,
        lineage=_lineage(draft),
        requirements=_requirements(folder, draft.variants),
    )


def listed(folder: Path) -> dict[str, FileEntry]:
    """Digest and length of every file that is in the package by now."""
    return list_files(folder, [path.name for path in folder.iterdir()])


def _lineage(draft: Draft) -> Lineage:
    subject = draft.subject
    return Lineage(
        dataset=subject.project.name,
        dataset_version=subject.version.digest,
        recipe=subject.run.recipe_digest,
        run=subject.run.id,
        seed=subject.run.recipe.seed,
        software={**subject.record.software, **subject.conversion.software, "machine": subject.conversion.machine},
        gate_override=draft.gate_override,
    )


def _requirements(folder: Path, variants: Mapping[str, Variant]) -> Requirements:
    """An estimate: a runtime, and four times the largest variant; on disk all files."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    largest = max(sizes[variant.file] for variant in variants.values())
    return Requirements(memory_bytes=_RUNTIME_BYTES + _MODEL_FACTOR * largest, disk_bytes=sum(sizes.values()))


def card_facts(draft: Draft, manifest: Manifest, reference: Reference) -> CardFacts:
    """What the model card is written from."""
    subject = draft.subject
    return CardFacts(
        manifest=manifest,
        project_name=subject.project.name,
        version=subject.version,
        evaluation=find_evaluation(subject.run),
        acceptance=draft.acceptance,
        reference=reference,
        notes=subject.run.state.notes,
        left_out=draft.left_out,
    )
