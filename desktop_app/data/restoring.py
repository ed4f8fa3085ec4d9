"""Restoring: bring labels and exclusions back to what a dataset version says, as one operation that can be undone."""

from collections import defaultdict

from desktop_app.data.catalogue import ACCEPTANCE_SPLIT, annotate_by_person, log_operation
from desktop_app.data.project import Project
from desktop_app.data.versions import load_version


def restore_version(project: Project, number: int) -> int:
    """Make the catalogue such that freezing with the version's seed and shares gives that version again.

    Its samples get their labels back and are taken in; other labelled samples are excluded, not
    deleted. The acceptance set stays as it is.

    Returns:
        How many samples changed.

    Raises:
        VersionError: there is no such version, or it was changed.
    """
    wanted = {(sample.sha256, sample.occurrence): sample.label for sample in load_version(project, number).samples}
    relabel: dict[str, list[int]] = defaultdict(list)
    switch: dict[int, list[int]] = {0: [], 1: []}
    rows = project.db.execute("SELECT id, sha256, occurrence, label, excluded FROM samples WHERE split != ?", [ACCEPTANCE_SPLIT])
    for sample_id, sha256, occurrence, label, excluded in rows.fetchall():
        target = wanted.get((sha256, occurrence))
        if target is None and label is None:
            continue
        if target is not None and target != label:
            relabel[target].append(sample_id)
        if (target is None) != bool(excluded):
            switch[int(target is None)].append(sample_id)
    return _apply(project, relabel, switch, f"restore dataset version {number}")


def _apply(project: Project, relabel: dict[str, list[int]], switch: dict[int, list[int]], text: str) -> int:
    """Write all changes in one transaction under one entry of the operation log."""
    changed = sorted({sample_id for ids in [*relabel.values(), *switch.values()] for sample_id in ids})
    if not changed:
        return 0
    with project.transaction() as db:
        operation = log_operation(db, changed, text)
        for label, ids in relabel.items():
            db.conn.executemany("UPDATE samples SET label = ?, conflict = 0 WHERE id = ?", [(label, sample_id) for sample_id in ids])
        annotate_by_person(db, relabel, operation)
        for excluded, ids in switch.items():
            db.conn.executemany("UPDATE samples SET excluded = ? WHERE id = ?", [(excluded, sample_id) for sample_id in ids])
    return len(changed)
