"""Inputs of an offline batch: files and folders that a person names, as samples one after the other.

The same files give the same samples in the same order each time, so a batch can go on where it stopped.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edge_agent.engine.decoding import read_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources.batch_words import (
    IMAGE,
    SOUND,
    TABLE,
    count_left_out,
    expected_words,
    folder_words,
    kind_of_model,
    other_kind_words,
)
from edge_agent.sources.csv_rows import read_rows
from edge_agent.sources.folder import list_images
from edge_agent.sources.parquet_rows import PARQUET_SUFFIXES, count_parquet_rows, read_parquet_rows
from edge_agent.sources.sound_windows import plan_windows
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceSample, text_of_name
from edge_agent.sources.wav_files import list_sounds, read_windows

_CHUNK = 1 << 20


class BatchItem(NamedTuple):
    """A sample or what is wrong with it, and how much of the batch lies before it, in the units of `Batch.total`."""

    item: SourceSample | SourceDropped
    position: int


class Batch(NamedTuple):
    """What will be read, and how."""

    files: tuple[tuple[str, Path], ...]  # name for people, path
    kind: "_Kind"
    spec: ModelSpec
    left_out: int = 0  # files in folders that are nothing for the model

    @property
    def file_count(self) -> int:
        """Number of files."""
        return len(self.files)

    @property
    def total(self) -> int:
        """How much there is: rows where the model takes rows (an estimate for CSV), else files."""
        return self.file_count if self.kind.size_of is None else sum(map(self.kind.size_of, (path for _, path in self.files)))

    def fingerprint(self) -> str:
        """SHA-256 over names, lengths and times of the files, in order: another batch has another."""
        digest = hashlib.sha256()
        for name, path in self.files:
            state = path.stat()
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def items(self, skip: int = 0) -> Iterator[BatchItem]:
        """Samples in order, without the first `skip`; what can not be read comes as dropped, with the reason."""
        if self.kind.one_per_file:
            yield from self._items(self.files[skip:], skip)
        else:
            yield from itertools.islice(self._items(self.files, 0), skip, None)

    def name_at(self, index: int) -> str | None:
        """The name of the item at `index`; None where there is none."""
        if self.kind.one_per_file:
            return self.files[index][0] if index < self.file_count else None
        found = next(self.items(index), None)
        return None if found is None else found.item.name

    def _items(self, files: Sequence[tuple[str, Path]], first: int) -> Iterator[BatchItem]:
        rows = 0
        for index, (name, path) in enumerate(files, first):
            for item in self._read(name, path):
                yield BatchItem(item, index if self.kind.size_of is None else rows)
                rows += 1

    def _read(self, name: str, path: Path) -> Iterator[SourceSample | SourceDropped]:
        try:
            for item in self.kind.read(name, path, self.spec):
                if isinstance(item, SourceDropped) and item.name == name:
                    yield self._unread(name, path, item.reason)
                elif isinstance(item, (SourceSample, SourceDropped)):
                    yield item
        except SourceError as error:
            yield self._unread(name, path, text_of_name(str(error)))

    def _unread(self, name: str, path: Path, reason: str) -> SourceDropped:
        """A whole file that can not be read."""
        return SourceDropped(name, other_kind_words(path, self.spec) or reason.removeprefix(name).lstrip(": "))


class _Kind(NamedTuple):
    """What models of one kind read: what a folder holds, how a file gives items, and how many of them where that is quick to know."""

    list_folder: Callable[[Path], list[Path]] | None
    read: Callable[[str, Path, ModelSpec], Iterator[Item]]
    size_of: Callable[[Path], int] | None
    one_per_file: bool


def plan_batch(paths: Sequence[Path], spec: ModelSpec) -> Batch:
    """Expand folders to the files that the model takes.

    Raises:
        SourceError: a path does not exist, or a folder holds nothing for this model or is given to a model of rows.
    """
    kind = _KINDS[kind_of_model(spec)]
    files: list[Path] = []
    left_out = 0
    for path in paths:
        if not path.exists():
            raise SourceError(f"{path} does not exist")
        if not path.is_dir():
            files.append(path)
            continue
        files.extend(_list_folder(path, kind, spec))
        left_out += count_left_out(path, spec)
    short = Counter(path.name for path in files) if kind.list_folder is None else Counter()
    return Batch(tuple((text_of_name(path.name if short[path.name] == 1 else str(path)), path) for path in files), kind, spec, left_out)


def _list_folder(folder: Path, kind: _Kind, spec: ModelSpec) -> list[Path]:
    if kind.list_folder is None:
        raise SourceError(f"{folder} is a folder (it holds {folder_words(folder)}); {expected_words(spec)}")
    try:
        return kind.list_folder(folder)
    except SourceError as error:
        raise SourceError(f"{error}; it holds {folder_words(folder)}; {expected_words(spec)}") from error


def _read_image(name: str, path: Path, spec: ModelSpec) -> Iterator[Item]:
    try:
        yield SourceSample(name, {spec.inputs[0].name: read_image(path)})
    except InputError as error:
        yield SourceDropped(name, text_of_name(str(error)))


def _read_sound(name: str, path: Path, spec: ModelSpec) -> Iterator[Item]:
    for item, _ in read_windows(path, name, spec, plan_windows(spec, 0.0, 0)):
        yield item


def _read_table(name: str, path: Path, spec: ModelSpec) -> Iterator[Item]:
    return read_parquet_rows(path, spec, name) if path.suffix.lower() in PARQUET_SUFFIXES else read_rows(path, spec, name)


def _count_rows(path: Path) -> int:
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return count_parquet_rows(path)
    try:
        with path.open("rb") as file:
            return max(1, sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(_CHUNK), b"")) - 1)
    except OSError:
        return 1


_KINDS = {
    IMAGE: _Kind(list_images, _read_image, None, one_per_file=True),
    SOUND: _Kind(list_sounds, _read_sound, None, one_per_file=False),
    TABLE: _Kind(None, _read_table, _count_rows, one_per_file=False),
}
