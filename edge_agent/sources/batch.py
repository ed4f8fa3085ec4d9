"""Inputs of an offline batch: files and folders that a person names, as samples one after the other."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_agent.engine.decoding import read_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.csv_rows import read_rows
from edge_agent.sources.folder import list_images
from edge_agent.sources.source import SourceDropped, SourceError, SourceSample

Item = SourceSample | SourceDropped


class Batch(NamedTuple):
    """What will be read; `file_count` counts files (a CSV file counts once)."""

    files: tuple[tuple[str, Path], ...]  # name for people, path
    spec: ModelSpec

    @property
    def file_count(self) -> int:
        """Number of files."""
        return len(self.files)

    def items(self) -> Iterator[tuple[int, Item]]:
        """Samples in order, each with the index of its file; what can not be read comes as dropped, with the reason."""
        for index, (name, path) in enumerate(self.files):
            for item in _read(name, path, self.spec):
                yield index, item


def takes_images(spec: ModelSpec) -> bool:
    """Whether the model takes one picture per sample (else it takes rows)."""
    return len(spec.inputs) == 1 and spec.inputs[0].dtype == "uint8"


def plan_batch(paths: Sequence[Path], spec: ModelSpec) -> Batch:
    """Expand folders to their images.

    Raises:
        SourceError: a path does not exist, or a folder holds no image or is given to a model of rows.
    """
    files: list[tuple[str, Path]] = []
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path} does not exist")
        if not path.is_dir():
            files.append((str(path), path))
        elif takes_images(spec):
            files.extend((str(file), file) for file in list_images(path))
        else:
            raise SourceError(f"{path} is a folder; this model takes rows of CSV files")
    return Batch(tuple(files), spec)


def _read(name: str, path: Path, spec: ModelSpec) -> Iterator[Item]:
    if not takes_images(spec):
        try:
            yield from read_rows(path, spec)
        except SourceError as error:
            yield SourceDropped(name, str(error))
        return
    try:
        yield SourceSample(name, {spec.inputs[0].name: read_image(path)})
    except InputError as error:
        yield SourceDropped(name, str(error))
