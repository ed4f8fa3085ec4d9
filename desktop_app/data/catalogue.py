"""The catalogue of a project's samples: list, count, label, exclude, and undo of the last two."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from contract.codec import utc_now
from desktop_app.data.project import Project
from desktop_app.errors import DataError

if TYPE_CHECKING:
    from desktop_app.data.database import Database

SPLITS = ("train", "validation", "test")
ACCEPTANCE_SPLIT = "acceptance"
LABEL_MAX_LENGTH = 200
IDS_PER_STATEMENT = 500
_ORDERS = {"name": "name, id", "mixed": "sha256, id", "newest": "id DESC", "score": "predicted_score IS NULL, predicted_score, id"}


class Sample(msgspec.Struct, frozen=True):
    """One item a model sees: an image or the row of a table.

    `label` is None where it is unlabelled, `split` is that of the newest dataset version (or
    `acceptance`, or empty), `width` and `height` are pixels (0 for rows), `row` has a row's values
    by column, the target included. `conflict`: imports disagree on its label and no person decided.
    """

    id: int
    sha256: str
    name: str
    label: str | None
    split: str
    width: int
    height: int
    size_bytes: int
    excluded: bool
    source: str
    predicted: str | None
    predicted_score: float | None
    queued: bool = False
    conflict: bool = False
    given_split: str = ""
    occurrence: int = 0
    group_key: str = ""
    row: dict[str, Any] | None = None


class SampleQuery(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which samples to list; an unset field does not restrict.

    `labelled` False asks for those without a label; `order` is `name`, `newest`, `score` (lowest first)
    or `mixed` (by digest: classes lie side by side, always in the same order).
    """

    label: str | None = None
    labelled: bool | None = None
    split: str | None = None
    excluded: bool | None = None
    queued: bool | None = None
    conflict: bool | None = None
    text: str = ""
    order: str = "name"


class _Condition(NamedTuple):
    sql: str
    value: object


ALL_SAMPLES = SampleQuery()


def list_samples(project: Project, *, query: SampleQuery = ALL_SAMPLES, offset: int = 0, limit: int = 200) -> list[Sample]:
    """The samples that match, one page of them.

    Raises:
        DataError: the query's order is unknown.
    """
    if query.order not in _ORDERS:
        raise DataError(f"samples can not be ordered by {query.order!r}; known: {', '.join(_ORDERS)}")
    where, values = _where(query)
    sql = f"SELECT * FROM samples {where} ORDER BY {_ORDERS[query.order]} LIMIT ? OFFSET ?"  # noqa: S608  (parts from tables above)
    return [_to_sample(row) for row in project.db.query(sql, [*values, limit, offset])]


def count_samples(project: Project, query: SampleQuery = ALL_SAMPLES) -> int:
    """How many samples match."""
    where, values = _where(query)
    return int(project.db.execute(f"SELECT count(*) FROM samples {where}", values).fetchone()[0])  # noqa: S608  (parts from tables above)


def get_sample(project: Project, sample_id: int) -> Sample:
    """One sample.

    Raises:
        DataError: there is none with this id.
    """
    for row in project.db.query("SELECT * FROM samples WHERE id = ?", [sample_id]):
        return _to_sample(row)
    raise DataError(f"there is no sample {sample_id} in this project")


def find_sample(project: Project, sha256: str) -> Sample | None:
    """The (first) sample with this content, or None."""
    for row in project.db.query("SELECT * FROM samples WHERE sha256 = ? ORDER BY occurrence LIMIT 1", [sha256]):
        return _to_sample(row)
    return None


def class_counts(project: Project) -> dict[str, int]:
    """How many samples each class has, in alphabetical order; excluded and unlabelled ones not counted."""
    sql = "SELECT label, count(*) FROM samples WHERE label IS NOT NULL AND NOT excluded GROUP BY label ORDER BY label"
    return {str(label): int(count) for label, count in project.db.execute(sql).fetchall()}


def split_counts(project: Project) -> dict[str, int]:
    """How many samples each split of the newest version has, and `acceptance`; samples in none under ``""``."""
    sql = "SELECT split, count(*) FROM samples WHERE NOT excluded GROUP BY split"
    counts = {str(split): int(count) for split, count in project.db.execute(sql).fetchall()}
    ordered = (*SPLITS, ACCEPTANCE_SPLIT, "")
    return {split: counts[split] for split in ordered if split in counts}


def set_label(project: Project, ids: Sequence[int], label: str | None) -> int:
    """A person says what the samples are (None: takes the label away); returns how many. Can be undone.

    Raises:
        DataError: the label is empty, too long or holds control characters, or an id is unknown.
    """
    if label is not None:
        label = check_label(label)
    with project.transaction() as db:
        text = f"label {_samples(ids)} as {label!r}" if label is not None else f"take the label of {_samples(ids)}"
        operation = log_operation(db, ids, text)
        for part in _parts(ids):
            marks = _marks(part)
            db.conn.execute(f"UPDATE samples SET label = ?, conflict = 0, queued = 0 WHERE id IN ({marks})", [label, *part])  # noqa: S608
        annotate_by_person(db, {label: ids}, operation)
    return len(ids)


def exclude(project: Project, ids: Sequence[int], excluded: bool = True) -> int:
    """Keep samples out of every later version, or take them back in; returns how many. Can be undone.

    Raises:
        DataError: an id is unknown.
    """
    with project.transaction() as db:
        log_operation(db, ids, f"exclude {_samples(ids)}" if excluded else f"take {_samples(ids)} back in")
        for part in _parts(ids):
            db.conn.execute(f"UPDATE samples SET excluded = ? WHERE id IN ({_marks(part)})", [int(excluded), *part])  # noqa: S608
    return len(ids)


def undo(project: Project) -> str | None:
    """Undo the newest operation that is not undone yet; returns what it was, None where there is none."""
    with project.transaction() as db:
        columns = "id, text, before, annotation_from, annotation_to"
        found = db.conn.execute(f"SELECT {columns} FROM operations WHERE NOT undone ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608
        if found is None:
            return None
        operation, text, before, first, last = found
        rows = msgspec.json.decode(before, type=list[dict[str, Any]])
        db.conn.executemany(
            "UPDATE samples SET label = :label, excluded = :excluded, queued = :queued, conflict = :conflict WHERE id = :id", rows
        )
        db.conn.execute("DELETE FROM annotations WHERE id BETWEEN ? AND ?", [first, last])
        db.conn.execute("UPDATE operations SET undone = 1 WHERE id = ?", [operation])
    return str(text)


def list_operations(project: Project, limit: int = 50) -> list[tuple[str, str]]:
    """The newest operations that are not undone, as `(at, text)`, newest first."""
    rows = project.db.execute("SELECT at, text FROM operations WHERE NOT undone ORDER BY id DESC LIMIT ?", [limit])
    return [(str(at), str(text)) for at, text in rows.fetchall()]


def check_label(label: str) -> str:
    """A label as it is kept: without space around it.

    Raises:
        DataError: it is empty, too long, or holds control characters.
    """
    cleaned = label.strip()
    if not cleaned or len(cleaned) > LABEL_MAX_LENGTH or not cleaned.isprintable():
        raise DataError(f"{label[:80]!r} can not be a label: use 1 to {LABEL_MAX_LENGTH} printable characters")
    return cleaned


def annotate_by_person(db: "Database", labels: Mapping[str | None, Sequence[int]] | Mapping[str, Sequence[int]], operation: int) -> None:
    """Keep what a person said (label → samples), and in the operation's entry which annotations those are."""
    first = int(db.conn.execute("SELECT coalesce(max(id), 0) + 1 FROM annotations").fetchone()[0])
    said = [(sample_id, label) for label, ids in labels.items() for sample_id in ids]
    rows = [(first + index, sample_id, label, utc_now()) for index, (sample_id, label) in enumerate(said)]
    db.conn.executemany("INSERT INTO annotations (id, sample_id, label, source, at) VALUES (?, ?, ?, 'person', ?)", rows)
    db.conn.execute("UPDATE operations SET annotation_from = ?, annotation_to = ? WHERE id = ?", [first, first + len(rows) - 1, operation])


def log_operation(db: "Database", ids: Sequence[int], text: str) -> int:
    """Write the operation log's entry, what the samples are before the change; returns its id.

    Raises:
        DataError: an id is unknown.
    """
    before: list[dict[str, Any]] = []
    for part in _parts(ids):
        rows = db.conn.execute(f"SELECT id, label, excluded, queued, conflict FROM samples WHERE id IN ({_marks(part)})", part).fetchall()  # noqa: S608
        before += [dict(zip(("id", "label", "excluded", "queued", "conflict"), row, strict=True)) for row in rows]
    if len(before) != len(set(ids)):
        missing = sorted(set(ids) - {row["id"] for row in before})
        raise DataError(f"there is no sample {missing[0]} in this project; nothing was changed")
    entry = [utc_now(), text, msgspec.json.encode(before).decode()]
    return int(db.conn.execute("INSERT INTO operations (at, text, before) VALUES (?, ?, ?)", entry).lastrowid or 0)


def _where(query: SampleQuery) -> tuple[str, list[object]]:
    conditions = [
        _Condition(f"{column} = ?", value)
        for column, value in (("label", query.label), ("split", query.split))
        if value is not None  # one line per column that is compared
    ]
    flags = (("excluded", query.excluded), ("queued", query.queued), ("conflict", query.conflict), ("label IS NOT NULL", query.labelled))
    conditions += [_Condition(f"({sql}) = ?", int(flag)) for sql, flag in flags if flag is not None]
    if query.text:
        conditions.append(_Condition("instr(lower(name), lower(?)) > 0", query.text))
    if not conditions:
        return "", []
    return "WHERE " + " AND ".join(c.sql for c in conditions), [c.value for c in conditions]


def _to_sample(row: dict[str, Any]) -> Sample:
    values = {name: row[name] for name in Sample.__struct_fields__}
    for flag in ("excluded", "queued", "conflict"):
        values[flag] = bool(values[flag])
    values["row"] = msgspec.json.decode(row["row"]) if row["row"] is not None else None
    return Sample(**values)


def _samples(ids: Sequence[int]) -> str:
    return f"{len(ids)} sample" if len(ids) == 1 else f"{len(ids)} samples"


def _parts(ids: Sequence[int]) -> Iterable[list[int]]:
    """The ids in parts that fit into one statement."""
    return (list(ids[start : start + IDS_PER_STATEMENT]) for start in range(0, len(ids), IDS_PER_STATEMENT))


def _marks(part: Sequence[int]) -> str:
    return ",".join("?" * len(part))
