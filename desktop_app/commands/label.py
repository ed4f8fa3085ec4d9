"""`eyelet-studio label`: list what needs a label, set labels, exclude samples, undo."""

from pathlib import Path

import click

from desktop_app.commands.terminal import json_option, print_result, project_option
from desktop_app.data.project import Project, open_project
from desktop_app.errors import DataError


@click.command("label")
@click.argument("label", required=False)
@click.argument("samples", nargs=-1, metavar="[SAMPLE]...")
@project_option
@click.option("--clear", is_flag=True, help="Take the label of the samples away (LABEL counts as a sample then).")
@click.option("--exclude", "excluding", is_flag=True, help="Keep the samples out of later versions (LABEL counts as a sample then).")
@click.option("--undo", "undoing", is_flag=True, help="Undo the newest labelling or exclusion.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many to list.")
@json_option
def command(label: str | None, samples: tuple[str, ...], project: Path, limit: int, as_json: bool, **flags: bool) -> None:
    """Give the SAMPLEs (ids or digests) the LABEL; without arguments list those that need one."""
    with open_project(project) as opened:
        if flags["undoing"]:
            _undo(opened, as_json=as_json)
        elif label is None:
            _list(opened, limit, as_json=as_json)
        elif flags["clear"] or flags["excluding"]:
            _change(opened, (label, *samples), None, excluding=flags["excluding"], as_json=as_json)
        elif not samples:
            raise click.UsageError("name the samples after the label: eyelet-studio label LABEL SAMPLE…")
        else:
            _change(opened, samples, label, excluding=False, as_json=as_json)


def _undo(project: Project, *, as_json: bool) -> None:
    from desktop_app.data.catalogue import undo

    text = undo(project)
    print_result({"undone": text}, f"undid: {text}" if text else "nothing to undo", as_json=as_json)


def _list(project: Project, limit: int, *, as_json: bool) -> None:
    from desktop_app.data.catalogue import SampleQuery, list_samples

    queued = list_samples(project, query=SampleQuery(queued=True, excluded=False, order="score"), limit=limit)
    unlabelled = list_samples(project, query=SampleQuery(labelled=False, queued=False, excluded=False), limit=limit)
    found = [*queued, *unlabelled][:limit]
    lines = [f"{s.id}  {s.sha256[:12]}…  {s.name}" + (f"  (predicted {s.predicted})" if s.predicted else "") for s in found]
    print_result(found, "\n".join(lines) or "every sample has a label", as_json=as_json)


def _change(project: Project, samples: tuple[str, ...], label: str | None, *, excluding: bool, as_json: bool) -> None:
    from desktop_app.data.catalogue import exclude, set_label

    ids = [_find_id(project, text) for text in samples]
    count = exclude(project, ids) if excluding else set_label(project, ids, label)
    what = "excluded" if excluding else f"labelled as {label!r}" if label else "without a label now"
    print_result({"changed": count, "label": label, "excluded": excluding}, f"{count} samples {what}", as_json=as_json)


def _find_id(project: Project, text: str) -> int:
    """A sample by its id or the beginning of its digest (8 digits at least).

    Raises:
        DataError: none, or several.
    """
    by_id = text.isdecimal() and len(text) < 8  # noqa: PLR2004  (a digest's beginning has 8 at least)
    where, value = ("id = ?", text) if by_id else ("substr(sha256, 1, length(?1)) = ?1", text.rstrip("…").lower())
    rows = project.db.execute(f"SELECT id FROM samples WHERE {where} LIMIT 2", [value]).fetchall()  # noqa: S608  (one of two constants)
    if len(rows) != 1 or (not by_id and len(value) < 8):  # noqa: PLR2004
        raise DataError(f"{text[:80]!r} names {'several samples' if len(rows) > 1 else 'no sample'}; give an id or 8 digits of a digest")
    return int(rows[0][0])
