"""A folder of images: one subfolder per class, or none (unlabelled); above them, if there, one folder per split.

`cat/1.png` has the label `cat`; `train/cat/1.png` has it too and keeps its split. A folder below a
class belongs to that class. Links that lead out of the folder and linked folders are refused.
"""

import collections
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

from desktop_app.data.formats.image_files import UnusableImageError, read_image_file
from desktop_app.data.formats.source import Format, ImportOptions, KnownColumns, OpenedSource, Refused, Taken
from desktop_app.data.plain_names import plain_name, plain_path
from desktop_app.errors import SourceError
from desktop_app.jobs.context import Report

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
HIDDEN_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
MAX_DEPTH = 16
READ_AHEAD = 16
THREADS = min(4, os.cpu_count() or 1)


class FoundFile(NamedTuple):
    """A file to be read; `name` is plain text relative to the folder."""

    path: Path
    name: str
    label: str | None
    split: str


def recognises(path: Path) -> bool:
    """Whether `path` is a folder."""
    return path.is_dir()


def open_source(path: Path, options: ImportOptions, known: KnownColumns, report: Report) -> OpenedSource:
    """Look through the folder and prepare to read its files.

    Raises:
        SourceError: `path` is no folder, can not be listed, or options were given that are for tables.
    """
    del known
    if options != ImportOptions():
        raise SourceError(
            f"{', '.join(msgspec.to_builtins(options))}: options for tables, but {plain_name(path.name)!r} is a folder of images"
        )
    if not path.is_dir():
        raise SourceError(f"{path.name!r} is no folder; an image folder has one subfolder per class")
    root = path.resolve()
    report.progress(0, 0, "files", "looking through the folder")
    files, refused = scan(root, report)
    notes = _notes(files)
    return OpenedSource(len(files) + len(refused), "files", _read_all(files, refused), "folder", notes=notes)


def _notes(files: list[FoundFile]) -> tuple[str, ...]:
    splits = sorted({file.split for file in files} - {""})
    return (f"the folders name the splits {', '.join(splits)}; they are kept",) if splits else ()


def scan(root: Path, report: Report) -> tuple[list[FoundFile], list[Refused]]:
    """All files below `root` in the order of their names, and what is refused for its place or kind.

    Raises:
        SourceError: the folder itself can not be listed.
    """
    try:
        entries = _list(root)
    except OSError as error:
        raise SourceError(f"the folder can not be listed: {error.strerror}", "Check its permissions.") from error
    scanner = _Scanner(root, report, has_splits=_names_splits(entries))
    scanner.walk(entries, root, ())
    return scanner.files, scanner.refused


def _list(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _names_splits(entries: list["os.DirEntry[str]"]) -> bool:
    """Whether the top folders are splits: all are called so, and one of them at least has folders in it."""
    folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False) and not _is_hidden(entry.name)]
    if not folders or any(entry.name.lower() not in SPLIT_FOLDERS for entry in folders):
        return False
    return any(_has_folder(Path(entry.path)) for entry in folders)


def _has_folder(folder: Path) -> bool:
    try:
        return any(entry.is_dir(follow_symlinks=False) for entry in _list(folder))
    except OSError:
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN_FILES


class _Scanner:
    """Walks a folder; collects what to read and what to refuse."""

    def __init__(self, root: Path, report: Report, *, has_splits: bool) -> None:
        self.files: list[FoundFile] = []
        self.refused: list[Refused] = []
        self._root = root
        self._report = report
        self._has_splits = has_splits

    def walk(self, entries: list["os.DirEntry[str]"], folder: Path, parts: tuple[str, ...]) -> None:
        """Look at one folder's entries; `parts` are the names of the folders from the root to it."""
        if not entries:
            self._refuse(folder, "the folder is empty")
        for entry in entries:
            self._report.check_cancelled()
            path = Path(entry.path)
            if reason := self._unwanted(entry, path):
                self._refuse(path, reason)
            elif entry.is_dir(follow_symlinks=False):
                self._enter(path, (*parts, entry.name))
            else:
                self._add(path, parts)

    def _enter(self, folder: Path, parts: tuple[str, ...]) -> None:
        if len(parts) > MAX_DEPTH:
            self._refuse(folder, f"the folder lies more than {MAX_DEPTH} folders deep")
            return
        try:
            entries = _list(folder)
        except PermissionError:
            self._refuse(folder, "no permission to list the folder")
        except OSError as error:
            self._refuse(folder, f"the folder can not be listed: {error.strerror}")
        else:
            self.walk(entries, folder, parts)

    def _unwanted(self, entry: "os.DirEntry[str]", path: Path) -> str:
        """Why an entry is refused for what it is; empty where it is not."""
        if _is_hidden(entry.name):
            return "it is hidden or a system's file"
        if entry.is_symlink():
            return self._unwanted_link(path)
        if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
            return "it is no ordinary file (a pipe, socket or device)"
        return ""

    def _unwanted_link(self, path: Path) -> str:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):
            return "it is a link that leads nowhere"
        if not target.is_relative_to(self._root):
            return "it is a link that leads out of the folder"
        return "it is a link to a folder; links to folders are not followed" if target.is_dir() else ""

    def _add(self, path: Path, parts: tuple[str, ...]) -> None:
        split = SPLIT_FOLDERS[parts[0].lower()] if self._has_splits and parts else ""
        classes = parts[1:] if split else parts
        label = plain_name(classes[0]).strip() or None if classes else None
        self.files.append(FoundFile(path, plain_path(path, self._root), label, split))

    def _refuse(self, path: Path, reason: str) -> None:
        self.refused.append(Refused(plain_path(path, self._root), reason))


def _read_all(files: list[FoundFile], refused: list[Refused]) -> Iterator[Taken | Refused]:
    yield from refused
    yield from map_ahead(_read_one, files)


def map_ahead(function: Callable[[FoundFile], Taken | Refused], files: list[FoundFile]) -> Iterator[Taken | Refused]:
    """Results in the order of `files`, computed by a few threads at most `READ_AHEAD` items ahead."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="read-image") as pool:
        waiting: collections.deque[Future[Taken | Refused]] = collections.deque()
        try:
            for file in files:
                waiting.append(pool.submit(function, file))
                if len(waiting) >= READ_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read_one(file: FoundFile) -> Taken | Refused:
    try:
        image = read_image_file(file.path)
    except UnusableImageError as error:
        return Refused(file.name, str(error))
    return Taken(
        name=file.name,
        sha256=image.sha256,
        group_key=image.sha256,
        label=file.label,
        size_bytes=len(image.body),
        given_split=file.split,
        width=image.width,
        height=image.height,
        body=image.body,
    )


FORMAT = Format("image-folder", "a folder of images, one subfolder per class", "image-classification", recognises, open_source)
