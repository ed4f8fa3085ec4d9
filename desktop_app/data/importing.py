"""Import: take what a source holds into the project, all or nothing, with a report of what was refused and why.

Blobs are written as they come; the catalogue learns of them in one transaction at the end. So an
import that is cancelled or killed leaves the catalogue as it was and can simply be run again.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from contract.codec import utc_now
from desktop_app.data.blobs import BlobWriter
from desktop_app.data.columns import list_columns
from desktop_app.data.formats import find_format
from desktop_app.data.formats.source import Format, ImportOptions, KnownColumns, OpenedSource, Refused, Taken
from desktop_app.data.merging import Conflict, Leak, Merge, merge_items
from desktop_app.data.plain_names import plain_name
from desktop_app.data.project import Project
from desktop_app.errors import SourceError
from desktop_app.jobs.context import JobContext, Report, SilentReport
from desktop_app.jobs.requests import ImportJob

PROGRESS_EVERY_S = 0.1


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did.

    `taken` samples are new; `duplicates` were there already or came twice; `classes` counts the new
    ones by label (unlabelled apart); `conflicts` are contents with two labels (they stay unlabelled
    until a person decides); `leaks` are contents that the source had in two splits; `missing` counts
    empty cells by column; `notes` are guesses and findings, in words.
    """

    source: str
    format: str
    at: str
    seconds: float
    taken: int
    duplicates: int
    unlabelled: int
    classes: dict[str, int]
    given_splits: dict[str, int]
    refused: tuple[Refused, ...]
    conflicts: tuple[Conflict, ...]
    leaks: tuple[Leak, ...]
    missing: dict[str, int]
    notes: tuple[str, ...]
    target: str = ""
    id: int = 0


DEFAULT_OPTIONS = ImportOptions()


def import_source(
    project: Project, path: Path, *, options: ImportOptions = DEFAULT_OPTIONS, report: Report | None = None, format_name: str = ""
) -> ImportReport:
    """Import a folder or file into the project; the report is kept in the catalogue too.

    Raises:
        SourceError: the source as a whole can not be imported (single bad items only come in the report).
        JobCancelledError: the user cancelled; the catalogue is as it was.
    """
    started = time.monotonic()
    report = report or SilentReport()
    source_format = find_format(path, format_name)
    _check_place(project, path, source_format)
    opened = source_format.open_source(path, options, KnownColumns(*list_columns(project)), report)
    taken, refused = _read_items(project, opened, report)
    report.check_cancelled()
    with project.transaction():
        merged = merge_items(project, taken, opened)
        result = _build_report(plain_name(path.resolve().name), source_format.name, opened, refused, merged)
        result = msgspec.structs.replace(result, seconds=round(time.monotonic() - started, 3))
        return _save_report(project, merged, result)


def _check_place(project: Project, path: Path, source_format: Format) -> None:
    """Refuse a source for another task, and one that contains the project or lies in it."""
    if source_format.task != project.task:
        raise SourceError(
            f"{plain_name(path.name)!r} is {source_format.title}, for {source_format.task}; the project is for {project.task}",
            "Import it into a project of its own.",
        )
    source, home = path.resolve(), project.folder.resolve()
    if home.is_relative_to(source) or (source.is_relative_to(home) and source.is_dir()):
        raise SourceError(
            "the project lies in the folder that is to be imported, or the other way round", "Choose another folder with --project."
        )


def _read_items(project: Project, opened: OpenedSource, report: Report) -> tuple[list[Taken], list[Refused]]:
    """Read everything; images' bytes go to blobs at once, so that memory holds none of them."""
    taken: list[Taken] = []
    refused: list[Refused] = []
    writer = BlobWriter(project)
    next_report = 0.0
    for done, item in enumerate(opened.items):
        report.check_cancelled()
        if time.monotonic() >= next_report:
            report.progress(done, opened.total, opened.unit, "importing")
            next_report = time.monotonic() + PROGRESS_EVERY_S
        if isinstance(item, Refused):
            refused.append(item)
            continue
        if item.body is not None:
            writer.write(item.sha256, item.body)
            item = msgspec.structs.replace(item, body=None)  # noqa: PLW2901  (the same item without its bytes)
        taken.append(item)
    writer.flush()
    report.progress(opened.total, opened.total, opened.unit, "importing")
    return taken, refused


def _build_report(source: str, format_name: str, opened: OpenedSource, refused: list[Refused], merged: Merge) -> ImportReport:
    return ImportReport(
        source=source,
        format=format_name,
        at=utc_now(),
        seconds=0.0,
        taken=len(merged.new),
        duplicates=merged.duplicates,
        unlabelled=sum(item.label is None for item in merged.new),
        classes=count_values(item.label for item in merged.new),
        given_splits=count_values(item.given_split for item in merged.new),
        refused=tuple(refused),
        conflicts=tuple(merged.conflicts),
        leaks=tuple(merged.leaks),
        missing=opened.missing,
        notes=opened.notes,
        target=opened.target,
    )


def count_values(values: Iterable[str | None]) -> dict[str, int]:
    """How often each value occurs, in alphabetical order; None and empty ones not counted."""
    counts: dict[str, int] = {}
    for value in values:
        if value:
            counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items()))


def _save_report(project: Project, merged: Merge, result: ImportReport) -> ImportReport:
    """Add the report to the catalogue and tie the import's samples and annotations to it."""
    connection = project.db.conn
    cursor = connection.execute("INSERT INTO imports (at, source, report) VALUES (?, ?, '')", [result.at, result.source])
    result = msgspec.structs.replace(result, id=int(cursor.lastrowid or 0))
    connection.execute("UPDATE imports SET report = ? WHERE id = ?", [msgspec.json.encode(result).decode(), result.id])
    connection.execute("UPDATE samples SET import_id = ? WHERE id >= ? AND import_id IS NULL", [result.id, merged.first_sample_id])
    connection.execute("UPDATE annotations SET import_id = ? WHERE id >= ?", [result.id, merged.first_annotation_id])
    return result


def list_imports(project: Project) -> list[ImportReport]:
    """The reports of all imports, newest first."""
    rows = project.db.execute("SELECT report FROM imports ORDER BY id DESC").fetchall()
    return [msgspec.json.decode(text, type=ImportReport) for (text,) in rows]


def run_import_job(project: Project, job: ImportJob, context: JobContext) -> ImportReport:
    """The job behind `import`."""
    return import_source(project, Path(job.path), options=parse_options(job.options), report=context, format_name=job.format)


def parse_options(fields: dict[str, Any]) -> ImportOptions:
    """Options from a job's plain fields.

    Raises:
        SourceError: an unknown field or a wrong type.
    """
    try:
        return msgspec.convert(fields, ImportOptions)
    except msgspec.ValidationError as error:
        raise SourceError(f"the import's options are not valid: {error}") from error
