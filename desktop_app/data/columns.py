"""The columns of a table project: names, kinds, the target, and what values they hold."""

from collections.abc import Sequence
from typing import Any

import msgspec

from contract.codec import encode
from contract.files import sha256_of
from desktop_app.data.project import Project
from desktop_app.errors import SourceError

FLOAT, INTEGER, CATEGORY = "float", "integer", "category"
KINDS = (FLOAT, INTEGER, CATEGORY)


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A feature: its name, its kind (float, integer, category) and, for a category, the values that occur, sorted."""

    name: str
    kind: str
    categories: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """A row as it is kept: canonical JSON of all its values, its digest, the digest of its features alone, its label."""

    text: str
    sha256: str
    group_key: str
    label: str | None


def build_row(values: dict[str, Any], target: str) -> Row:
    """Make a row from its values by column; a missing value is None, the target is text."""
    text = encode(values)
    features = {name: value for name, value in values.items() if name != target}
    label = values.get(target)
    return Row(text.decode(), sha256_of(text), sha256_of(encode(features)), None if label is None else str(label))


def list_columns(project: Project) -> tuple[tuple[Column, ...], str]:
    """The features in the order of the first file (without categories), and the target; `((), "")` for images."""
    rows = project.db.execute("SELECT name, kind, target FROM columns ORDER BY position").fetchall()
    features = tuple(Column(name, kind) for name, kind, is_target in rows if not is_target)
    return features, next((str(name) for name, _, is_target in rows if is_target), "")


def save_columns(project: Project, columns: Sequence[Column], target: str) -> None:
    """Keep the columns of the project's first table; those of a later one were checked against them."""
    if list_columns(project)[1]:
        return
    rows = [(position, c.name, c.kind, int(c.name == target)) for position, c in enumerate(columns)]
    project.db.conn.executemany("INSERT INTO columns (position, name, kind, target) VALUES (?, ?, ?, ?)", rows)


def check_columns(names: Sequence[str], target: str, features: Sequence[Column], known_target: str) -> None:
    """Check that a later table has the columns `names` and the target that the project has.

    Raises:
        SourceError: it has others.
    """
    found, expected = sorted(set(names) - {target}), sorted(column.name for column in features)
    if found != expected or target != known_target:
        raise SourceError(
            f"the table has the columns {', '.join(found)[:300]} and the target {target!r}; "
            f"the project's are {', '.join(expected)[:300]} and {known_target!r}",
            "Import it into a project of its own.",
        )


def with_categories(project: Project, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns with the values that occur in samples a version may hold (labelled, not excluded)."""
    if not any(column.kind == CATEGORY for column in columns):
        return tuple(columns)
    values: dict[str, set[str]] = {column.name: set() for column in columns if column.kind == CATEGORY}
    for (text,) in project.db.execute("SELECT row FROM samples WHERE row IS NOT NULL AND label IS NOT NULL AND NOT excluded"):
        row = msgspec.json.decode(text)
        for name, seen in values.items():
            if row.get(name) is not None:
                seen.add(row[name])
    return tuple(Column(c.name, c.kind, tuple(sorted(values.get(c.name, ())))) for c in columns)
