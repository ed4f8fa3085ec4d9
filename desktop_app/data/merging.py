"""Merging items into the catalogue by content: what is new, what was there, where labels or splits disagree.

The outcome does not depend on the order of imports: a content with two labels has none until a
person decides, and of two splits the one that protects the test wins.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from contract.codec import utc_now
from desktop_app.data.acceptance_set import acceptance_groups
from desktop_app.data.columns import save_columns
from desktop_app.data.formats.source import OpenedSource, Taken
from desktop_app.data.project import Project

_SPLIT_STRENGTH = ("", "train", "validation", "test")
_PERSON = {"person"}


class Conflict(msgspec.Struct, frozen=True):
    """One content under two labels: the item that came, and the one that was there."""

    name: str
    label: str
    other_name: str
    other_label: str


class Leak(msgspec.Struct, frozen=True):
    """One content that the source has in two splits; it goes to `kept`."""

    name: str
    split: str
    other_name: str
    kept: str


class Merge(NamedTuple):
    """What merging did; ids from `first_…` on are new."""

    new: list[Taken]
    duplicates: int
    conflicts: list[Conflict]
    leaks: list[Leak]
    first_sample_id: int
    first_annotation_id: int


class _Known(NamedTuple):
    """A sample as the catalogue has it before the import."""

    id: int
    name: str
    given_split: str


Key = tuple[str, int]


def merge_items(project: Project, items: Sequence[Taken], opened: OpenedSource) -> Merge:
    """Write the items into the catalogue; to be called inside a transaction."""
    if opened.target:
        save_columns(project, opened.columns, opened.target)
    merge = Merge([], 0, [], [], _next_id(project, "samples"), _next_id(project, "annotations"))
    known = _known_samples(project)
    grouped = _group(items)
    for key, found in grouped.items():
        _note_leaks(merge, found, known.get(key))
    _insert_new(project, grouped, known, merge)
    _raise_splits(project, grouped, known)
    _annotate(project, grouped, known, merge, opened.label_source)
    return merge._replace(duplicates=len(items) - len(merge.new))


def _next_id(project: Project, table: str) -> int:
    return int(project.db.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()[0])  # noqa: S608  (two constants)


def _known_samples(project: Project) -> dict[Key, _Known]:
    rows = project.db.execute("SELECT sha256, occurrence, id, name, given_split FROM samples")
    return {(sha256, occurrence): _Known(*rest) for sha256, occurrence, *rest in rows}


def _group(items: Sequence[Taken]) -> dict[Key, list[Taken]]:
    """Items by content; equal rows of a table are samples of their own, numbered, equal images are one."""
    grouped: dict[Key, list[Taken]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for item in items:
        occurrence = seen[item.sha256] if item.row is not None else 0
        seen[item.sha256] += 1
        grouped[item.sha256, occurrence].append(item)
    return grouped


def _note_leaks(merge: Merge, found: Sequence[Taken], known: _Known | None) -> None:
    """Add a leak for each item whose split is not that of the first with this content."""
    first_name, first_split = (known.name, known.given_split) if known else (found[0].name, found[0].given_split)
    kept = max([first_split, *(item.given_split for item in found)], key=_SPLIT_STRENGTH.index)
    merge.leaks.extend(
        Leak(i.name, i.given_split, first_name, kept) for i in found if i.given_split != first_split and i.given_split and first_split
    )


def _insert_new(project: Project, grouped: dict[Key, list[Taken]], known: dict[Key, _Known], merge: Merge) -> None:
    """Insert a sample per new content; `known` learns of them."""
    apart = acceptance_groups(project)
    rows: list[tuple[Any, ...]] = []
    for sample_id, (key, found) in enumerate(((k, f) for k, f in grouped.items() if k not in known), start=merge.first_sample_id):
        item = found[0]
        split = "acceptance" if item.group_key in apart else ""
        rows.append(
            (sample_id, *key, item.group_key, item.name, item.given_split, split, item.width, item.height, item.size_bytes, item.row)
        )
        known[key] = _Known(sample_id, item.name, item.given_split)
        merge.new.append(item)
    project.db.conn.executemany(
        "INSERT INTO samples (id, sha256, occurrence, group_key, name, given_split, split, width, height, size_bytes, row, source)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'import')",
        rows,
    )


def _raise_splits(project: Project, grouped: dict[Key, list[Taken]], known: dict[Key, _Known]) -> None:
    """Where a content came with a stronger split than it has, give it that."""
    changes = []
    for key, found in grouped.items():
        strongest = max((item.given_split for item in found), key=_SPLIT_STRENGTH.index)
        if _SPLIT_STRENGTH.index(strongest) > _SPLIT_STRENGTH.index(known[key].given_split):
            changes.append((strongest, known[key].id))
    project.db.conn.executemany("UPDATE samples SET given_split = ? WHERE id = ?", changes)


def _annotate(project: Project, grouped: dict[Key, list[Taken]], known: dict[Key, _Known], merge: Merge, source: str) -> None:
    """Add the labels as annotations and bring each sample's label up to date."""
    before = _annotations(project)
    at = utc_now()
    annotations: list[tuple[int, str, str, str]] = []
    labels: list[tuple[str | None, int, int]] = []
    for key, found in grouped.items():
        sample = known[key]
        old = before.get(sample.id, {})
        said = dict(old)
        for item in found:
            if item.label is None or item.label in said:
                continue
            if said and not _PERSON & set(said.values()):
                merge.conflicts.append(Conflict(item.name, item.label, sample.name, next(iter(said))))
            said[item.label] = source
            annotations.append((sample.id, item.label, source, at))
        if said != old and not _PERSON & set(old.values()):
            labels.append((next(iter(said)) if len(said) == 1 else None, int(len(said) > 1), sample.id))
    project.db.conn.executemany("INSERT INTO annotations (sample_id, label, source, at) VALUES (?, ?, ?, ?)", annotations)
    project.db.conn.executemany("UPDATE samples SET label = ?, conflict = ? WHERE id = ?", labels)


def _annotations(project: Project) -> dict[int, dict[str, str]]:
    """Per sample the labels that were said of it, each with its (last) source, in their order."""
    said: dict[int, dict[str, str]] = defaultdict(dict)
    for sample_id, label, source in project.db.execute("SELECT sample_id, label, source FROM annotations ORDER BY id"):
        said[sample_id][label] = source
    return said
