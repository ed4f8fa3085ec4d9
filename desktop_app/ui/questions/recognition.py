"""What a dropped folder or file seems to be, found by a bounded look; every guess can be changed before the import."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from desktop_app.errors import SourceError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})
ENTRIES_MAX = 50_000
HEADER_MAX_BYTES = 1 << 20
TARGET_NAMES = ("label", "class", "target", "y", "income", "species", "quality")
NAME_MAX_LENGTH = 60


@dataclass(frozen=True)
class Recognition:
    """A guess: task, how many things, which classes or columns, and a name for the project."""

    path: Path
    task: str
    name: str
    files: int = 0
    other_files: int = 0
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    target: str = ""
    is_bounded: bool = False


def recognise(path: Path) -> Recognition:
    """Look at `path`.

    Raises:
        SourceError: it does not exist, or is neither a folder nor a CSV file.
    """
    if path.is_dir():
        return _recognise_folder(path)
    if path.is_file() and path.suffix.lower() in {".csv", ".tsv"}:
        return _recognise_table(path)
    what = "is neither a folder nor a CSV table" if path.exists() else "does not exist"
    raise SourceError(f"{path.name[:80]!r} {what}", "Drop a folder of images (one subfolder per class) or a CSV file.")


def _recognise_folder(path: Path) -> Recognition:
    images, others, seen = 0, 0, 0
    classes: set[str] = set()
    for folder, _, names in os.walk(path):
        for name in names:
            seen += 1
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                images += 1
                if Path(folder) != path:
                    classes.add(Path(folder).name)
            else:
                others += 1
        if seen > ENTRIES_MAX:
            break
    tables = sorted(p for p in path.glob("*.csv"))
    if not images and len(tables) == 1:
        return _recognise_table(tables[0])
    return Recognition(
        path=path,
        task="image-classification",
        name=project_name(path.name),
        files=images,
        other_files=others,
        classes=tuple(sorted(classes)),
        is_bounded=seen > ENTRIES_MAX,
    )


def _recognise_table(path: Path) -> Recognition:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = file.read(HEADER_MAX_BYTES)
    except OSError as error:
        raise SourceError(f"{path.name[:80]!r} can not be read: {error.strerror or error}") from error
    lines = head.splitlines()
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(lines[:1])
    columns = next(csv.reader(lines[:1], delimiter=delimiter), [])
    if len(columns) < 2:  # noqa: PLR2004
        raise SourceError(f"{path.name[:80]!r} has no header with two columns at least", "The first line names the columns.")
    return Recognition(
        path=path,
        task="tabular-classification",
        name=project_name(path.stem),
        files=max(0, len(lines) - 1),
        columns=tuple(columns),
        target=guess_target(columns),
        is_bounded=len(head) == HEADER_MAX_BYTES,
    )


def _delimiter(lines: list[str]) -> str:
    first = lines[0] if lines else ""
    return max((",", ";", "\t"), key=first.count)


def guess_target(columns: list[str]) -> str:
    """The column that is called like a target, else the last one."""
    return next((c for name in TARGET_NAMES for c in columns if c.strip().lower() == name), columns[-1])


def project_name(name: str) -> str:
    """A name for a project from a file's name: printable, not empty, not long."""
    kept = "".join(c for c in name if c.isprintable()).strip()
    return kept[:NAME_MAX_LENGTH] or "project"
