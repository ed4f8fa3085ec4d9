"""What is packaged: a finished, converted run with all that belongs to it."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.errors import ContractError
from contract.files import check_file
from converters.report import ConversionReport
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion
from desktop_app.errors import ReleaseError
from desktop_app.release.conversion import conversion_folder, load_conversion
from desktop_app.training.models import ModelRecord, load_record
from desktop_app.training.planning import find_version
from desktop_app.training.runs import Run, load_run
from edge_agent.engine.model_spec import ModelSpec


@dataclass(frozen=True)
class Subject:
    """A run, its model, its dataset version and its conversion."""

    project: Project
    run: Run
    record: ModelRecord
    version: DatasetVersion
    conversion: ConversionReport

    @property
    def spec(self) -> ModelSpec:
        """The model's signature."""
        return self.record.spec

    def reference_of(self, variants: Iterable[str]) -> str:
        """The float32 reference if it is among the variants, else the first of them."""
        names = list(variants)
        return self.conversion.reference if self.conversion.reference in names else names[0]


def load_subject(project: Project, run_name: str) -> Subject:
    """Load a converted run; the variants' files are checked by digest.

    Raises:
        ReleaseError: it is not converted, or a variant's file is missing or was changed.
        desktop_app.training.errors.RunError: there is no such run, or it is not done.
    """
    run = load_run(project, run_name)
    record = load_record(run)
    conversion = load_conversion(run)
    try:
        for name, entry in conversion.files.items():
            check_file(conversion_folder(run) / conversion.variants[name].file, entry.sha256, entry.size_bytes)
    except (OSError, ContractError) as error:
        raise ReleaseError(
            f"the conversion of run {run.id} is broken: {error}", f"Convert it again: eyelet-studio convert {run.id}"
        ) from error
    return Subject(project, run, record, find_version(project, run.recipe.dataset_version), conversion)
