"""`eyelet-studio versions`: list dataset versions, or compare two."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option
from desktop_app.data.project import Project, open_project


@click.command("versions")
@project_option
@click.option("--diff", nargs=2, type=int, metavar="BEFORE AFTER", help="Compare two versions.")
@click.option("--restore", type=int, metavar="NUMBER", help="Bring labels and exclusions back to a version's (`label --undo` undoes it).")
@json_option
def command(project: Path, diff: tuple[int, int] | None, restore: int | None, as_json: bool) -> None:
    """List the dataset versions, newest first, or say what changed between two."""
    with open_project(project) as opened:
        if restore is not None:
            _restore(opened, restore, as_json=as_json)
        elif diff:
            _print_diff(opened, *diff, as_json=as_json)
        else:
            _print_list(opened, as_json=as_json)


def _print_list(project: Project, *, as_json: bool) -> None:
    from desktop_app.data.versions import list_versions

    versions = list_versions(project)
    lines = [
        f"{v.number}  {v.digest[:12]}…  {v.created_at}  {v.samples} samples  " + ", ".join(f"{s} {n}" for s, n in v.splits.items())
        for v in versions
    ]
    print_result(versions, "\n".join(lines) or "no dataset version yet; freeze one: eyelet-studio freeze", as_json=as_json)


def _print_diff(project: Project, before: int, after: int, *, as_json: bool) -> None:
    from desktop_app.data.versions import diff_versions

    diff = diff_versions(project, before, after)
    text = (
        f"from version {before} to {after}: {len(diff.added)} added, {len(diff.removed)} removed, "
        f"{len(diff.relabelled)} relabelled, {len(diff.moved)} in another split"
    )
    changes = [f"  {item.sha256[:12]}…: {item.before} → {item.after}" for item in diff.relabelled]
    print_result(diff, "\n".join([text, *changes]), as_json=as_json)


def _restore(project: Project, number: int, *, as_json: bool) -> None:
    from desktop_app.data.restoring import restore_version

    changed = restore_version(project, number)
    print_result({"restored": number, "changed": changed}, f"restored dataset version {number}: {changed} samples changed", as_json=as_json)
