"""What the ship page shows: a run's variants as measured, the acceptance set, the keys, and the packages that were built."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from contract.acceptance import AcceptanceSet
from contract.errors import ContractError
from contract.files import read_bounded, sha256_of
from contract.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME, Manifest
from contract.package import read_manifest
from converters.report import ConversionReport
from desktop_app.data.acceptance_set import find_acceptance
from desktop_app.data.catalogue import Sample, find_sample
from desktop_app.data.project import Project
from desktop_app.errors import KeyStoreError
from desktop_app.training.runs import DONE, Run, list_runs
from desktop_app.ui.questions.results import choose_run, find_conversion

FLIPPED_MAX = 12


@dataclass(frozen=True)
class BuiltVersion:
    """A package in the project."""

    name: str  # of its folder and archive
    manifest: Manifest
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Shipping:
    """Everything about shipping the chosen run."""

    name: str
    task: str
    runs: tuple[Run, ...]
    chosen: Run | None
    conversion: ConversionReport | None
    acceptance_count: int
    acceptance: AcceptanceSet | None
    packages: tuple[BuiltVersion, ...]
    has_keys: bool

    @property
    def package_of_run(self) -> BuiltVersion | None:
        """The newest package of the chosen run."""
        mine = [p for p in self.packages if self.chosen is not None and p.manifest.lineage.run == self.chosen.id]
        return max(mine, key=lambda p: (p.manifest.created_at, p.manifest.version), default=None)


def read_shipping(project: Project, wanted: str, keys_folder: Path) -> Shipping:
    """Read runs, the chosen run's conversion, packages, and whether there are keys."""
    runs = tuple(run for run in list_runs(project) if run.state.state == DONE)
    chosen = choose_run(runs, wanted)
    frozen = find_acceptance(project)
    packages = read_packages(project)
    model = packages[0].manifest.name if packages else ""
    return Shipping(
        name=project.name,
        task=project.task,
        runs=runs,
        chosen=chosen,
        conversion=find_conversion(chosen) if chosen is not None else None,
        acceptance_count=len(frozen.samples) if frozen is not None else 0,
        acceptance=_read_acceptance(project, model),
        packages=packages,
        has_keys=has_keys(keys_folder),
    )


def has_keys(folder: Path) -> bool:
    """Whether the folder holds a key store."""
    from desktop_app.release.keys import check_store

    try:
        check_store(folder.expanduser())
    except KeyStoreError:
        return False
    return True


def _read_acceptance(project: Project, model: str) -> AcceptanceSet | None:
    from contract.codec import decode

    path = project.folder / "acceptance" / model / "acceptance.json"
    if not model or not path.is_file():
        return None
    with contextlib.suppress(ContractError, OSError):
        return decode(read_bounded(path, MANIFEST_MAX_BYTES), AcceptanceSet, "the acceptance set")
    return None


def read_packages(project: Project) -> tuple[BuiltVersion, ...]:
    """The packages of the project, newest first; a broken one is left out here and told by its opening."""
    found = []
    for folder in (project.folder / "packages").glob("*/"):
        with contextlib.suppress(ContractError, OSError):
            data = read_bounded(folder / MANIFEST_NAME, MANIFEST_MAX_BYTES)
            manifest = read_manifest(data)
            size = sum(entry.size_bytes for entry in manifest.files.values())
            found.append(BuiltVersion(folder.name, manifest, sha256_of(data), size))
    return tuple(sorted(found, key=lambda p: (p.manifest.created_at, p.name), reverse=True))


def read_flipped(project: Project, run: Run, variant: str) -> tuple[Sample, ...]:
    """Samples that a variant answers otherwise than the reference; they are looked up by the evaluation's order."""
    from desktop_app.training.planning import find_version

    report = find_conversion(run)
    if report is None:
        return ()
    version = find_version(project, run.recipe.dataset_version)
    members = version.of_split("test") or version.of_split("validation")
    places = [at for at in report.flipped.get(variant, ())[:FLIPPED_MAX] if at < len(members)]
    return tuple(sample for at in places if (sample := find_sample(project, members[at].sha256)) is not None)
