"""Raw inputs of a run's splits and of the acceptance set, as sequences that decode when they are read."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import msgspec

from contract.files import sha256_of
from desktop_app.data.acceptance_set import FrozenAcceptance
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion, VersionSample
from desktop_app.errors import DataError
from desktop_app.tasks import TASKS
from desktop_app.tasks.task import RawInputs

KEEP_BYTES = 512 << 20


class RawSamples(Sequence[RawInputs]):
    """Samples as the engine takes them; decoded once and kept while that fits in 512 MiB, else decoded at each reading."""

    def __init__(self, project: Project, version: DatasetVersion, samples: Sequence[VersionSample]) -> None:
        self._project = project
        self._version = version
        self._samples = tuple(samples)
        self._kept: dict[int, RawInputs] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> RawInputs: ...
    @overload
    def __getitem__(self, index: slice) -> "RawSamples": ...
    def __getitem__(self, index: int | slice) -> "RawInputs | RawSamples":
        """One sample, decoded; or some of them."""
        if isinstance(index, slice):
            return RawSamples(self._project, self._version, self._samples[index])
        found = self._kept.get(index)
        return found if found is not None else self._decode(index)

    def __iter__(self) -> Iterator[RawInputs]:
        """All, in order."""
        return (self[index] for index in range(len(self)))

    def _decode(self, index: int) -> RawInputs:
        sample = self._samples[index]
        inputs = next(iter(TASKS[self._version.task].raw_inputs(self._project, self._version, [sample])))
        size = sum(array.nbytes for array in inputs.values())
        if self._kept_bytes + size <= KEEP_BYTES:
            self._kept[index] = inputs
            self._kept_bytes += size
        return inputs


def label_indices(version: DatasetVersion, samples: Sequence[VersionSample]) -> list[int]:
    """Index of each sample's label in the version's label set."""
    index = {label: number for number, label in enumerate(version.labels)}
    return [index[sample.label] for sample in samples]


def acceptance_samples(project: Project, frozen: FrozenAcceptance, version: DatasetVersion) -> list[VersionSample]:
    """The samples of the acceptance set in the form of a version's.

    Raises:
        DataError: one is missing from the catalogue or was changed.
    """
    return [
        VersionSample(s.sha256, s.label, "acceptance", row=_row(project, s.sha256, s.occurrence, version.target), occurrence=s.occurrence)
        for s in frozen.samples
    ]


def _row(project: Project, sha256: str, occurrence: int, target: str) -> dict[str, Any] | None:
    if not target:
        return None
    found = project.db.execute("SELECT row FROM samples WHERE sha256 = ? AND occurrence = ?", [sha256, occurrence]).fetchone()
    if found is None or found[0] is None or sha256_of(found[0].encode()) != sha256:
        raise DataError(f"row {sha256[:16]}… of the acceptance set is missing or was changed", "Restore the project from a backup.")
    row: dict[str, Any] = msgspec.json.decode(found[0])
    row.pop(target, None)
    return row
