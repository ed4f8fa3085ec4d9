"""`eyelet-studio import`: import a folder of images or a table, with a report of what was refused."""

from pathlib import Path
from typing import Any

import click
import msgspec

from desktop_app.commands.terminal import json_option, print_result, project_option, run_job
from desktop_app.data.plain_names import plain_name
from desktop_app.data.project import DOCUMENT_NAME, TASK_NAMES, create_project, open_project, remove_empty_project
from desktop_app.errors import SourceError
from desktop_app.jobs.requests import ImportJob

SHOWN_PER_LIST = 20


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@project_option
@click.option("--task", type=click.Choice(TASK_NAMES), help="Task of a project that is made.  [default: by the source]")
@click.option("--format", "format_name", default="", help="Source format.  [default: found by looking]")
@click.option("--target", default="", help="Target column of a table.  [default: the last]")
@click.option("--delimiter", default="", help="Delimiter of a table.  [default: found by looking]")
@click.option("--header/--no-header", default=None, help="Whether a table's first row names its columns.  [default: found by looking]")
@click.option("--encoding", default="", help="Encoding of a table.  [default: UTF-8]")
@click.option("--all", "show_all", is_flag=True, help="Name every refused file, not the first twenty.")
@json_option
def command(source: Path, project: Path, *, task: str | None, format_name: str, show_all: bool, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Import SOURCE, a folder with one subfolder per class or a CSV table, into the project (made if there is none).

    A top layer of folders called train, validation and test is kept as the samples' splits.
    """
    made = _prepare_project(project, source, format_name, task)
    given = {name: value for name, value in options.items() if value not in ("", None)}
    if given.get("delimiter") in {"tab", "\\t"}:
        given["delimiter"] = "\t"
    try:
        report = run_job(project, ImportJob(str(source.absolute()), format_name, given))
    except BaseException:
        if made:
            remove_empty_project(project)
        raise
    print_result(report, describe(report, None if show_all else SHOWN_PER_LIST), as_json=as_json)
    if not report["taken"] and not report["duplicates"]:
        raise SourceError("nothing was taken", "The report says why, file by file.")


def _prepare_project(folder: Path, source: Path, format_name: str, task: str | None) -> bool:
    """Open the project to see that it can be, or make it for the source's task; whether it was made."""
    from desktop_app.data.formats import find_format

    found = find_format(source, format_name)
    if (folder / DOCUMENT_NAME).exists():
        open_project(folder).close()
        return False
    if task not in {None, found.task}:
        raise SourceError(f"{source.name!r} is {found.title}, for {found.task}, not for {task}")
    if folder.resolve().is_relative_to(source.resolve()):
        raise SourceError("the project would lie in the folder that is to be imported", "Choose another folder with --project.")
    create_project(folder, plain_name(folder.absolute().name)[:100] or "project", found.task).close()
    return True


def describe(report: dict[str, Any], shown: int | None) -> str:
    """An import's report as text; `shown` bounds each list (None: all of it)."""
    lines = [f"took {report['taken']} samples of {report['source']} in {report['seconds']:.1f} s ({report['format']})"]
    lines += [f"  {label}: {count}" for label, count in report["classes"].items()]
    facts = (("unlabelled", report["unlabelled"]), ("duplicates", report["duplicates"]), ("refused", len(report["refused"])))
    lines += [f"{name}: {count}" for name, count in facts if count]
    lines += _listed((f"  {item['name']}: {item['reason']}" for item in report["refused"]), shown)
    conflicts = [
        f"  {item['name']} says {item['label']}, {item['other_name']} says {item['other_label']}: unlabelled until you decide"
        for item in report["conflicts"]
    ]
    lines += ["the same content under two labels:", *_listed(conflicts, shown)] if conflicts else []
    leaks = [f"  {item['name']} and {item['other_name']}: goes to {item['kept']}" for item in report["leaks"]]
    lines += ["the same content in two splits:", *_listed(leaks, shown)] if leaks else []
    lines += [f"splits named by the source: {msgspec.json.encode(report['given_splits']).decode()}"] if report["given_splits"] else []
    lines += [f"missing values: {', '.join(f'{name} {count}' for name, count in report['missing'].items())}"] if report["missing"] else []
    return "\n".join([*lines, *report["notes"]])


def _listed(lines: Any, shown: int | None) -> list[str]:  # noqa: ANN401
    """The first lines, and how many more there are."""
    found = list(lines)
    if shown is None or len(found) <= shown:
        return found
    return [*found[:shown], f"  … and {len(found) - shown} more (--all names them)"]
