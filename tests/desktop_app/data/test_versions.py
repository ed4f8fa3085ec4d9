import random
import shutil
from pathlib import Path

import pytest

from contract.files import sha256_of_file
from desktop_app.data.catalogue import SampleQuery, exclude, list_samples, set_label, split_counts, undo
from desktop_app.data.columns import Column
from desktop_app.data.importing import import_source
from desktop_app.data.loading import load_columns, load_image, load_rows
from desktop_app.data.project import Project, create_project
from desktop_app.data.restoring import restore_version
from desktop_app.data.versions import diff_versions, freeze_version, list_versions, load_version, version_path
from desktop_app.errors import DataError, VersionError
from tests.desktop_app.data.pictures import write_classes


def test_a_version_is_frozen_with_splits_and_its_digest_is_that_of_its_file(filled: Project) -> None:
    version = freeze_version(filled, seed=1)
    assert version.digest == sha256_of_file(version_path(filled, 1))
    assert version.labels == ("cat", "dog", "owl")
    assert {split: len(version.of_split(split)) for split in ("train", "validation", "test")} == {"train": 34, "validation": 8, "test": 8}
    assert split_counts(filled) == {"train": 34, "validation": 8, "test": 8}
    assert version == load_version(filled) == load_version(filled, 1)


def test_the_same_input_gives_the_same_digest_in_any_order_and_place(tmp_path: Path) -> None:
    digests = set()
    for attempt in range(3):
        source = tmp_path / f"source {attempt}"
        write_classes(source, {"cat": 8, "dog": 8})
        parts = [path for folder in sorted(source.iterdir()) for path in sorted(folder.iterdir())]
        random.Random(attempt).shuffle(parts)
        with create_project(tmp_path / f"p{attempt}" / "x", f"name {attempt}", "image-classification") as project:
            for index, piece in enumerate((parts[:7], parts[7:])):
                for number, path in enumerate(piece):
                    target = tmp_path / f"in {attempt}" / str(index) / path.parent.name / f"{number}-{attempt}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)
                import_source(project, tmp_path / f"in {attempt}" / str(index))
            digests.add(freeze_version(project, seed=5).digest)
    assert len(digests) == 1


def test_another_seed_or_share_gives_another_digest(filled: Project) -> None:
    digests = {
        freeze_version(filled, seed=0).digest,
        freeze_version(filled, seed=1).digest,
        freeze_version(filled, shares=(0.8, 0.1, 0.1)).digest,
    }
    assert len(digests) == 3


def test_freezing_the_same_again_gives_the_same_version(filled: Project) -> None:
    assert freeze_version(filled) == freeze_version(filled)
    assert [version.number for version in list_versions(filled)] == [1]


def test_a_frozen_version_stays_when_the_catalogue_changes(filled: Project) -> None:
    before = freeze_version(filled)
    set_label(filled, [s.id for s in list_samples(filled, query=SampleQuery(label="cat"))[:5]], "owl")
    exclude(filled, [s.id for s in list_samples(filled, query=SampleQuery(label="dog"))[:2]])
    after = freeze_version(filled)
    assert load_version(filled, 1) == before
    assert (after.number, len(after.samples)) == (2, 48)


def test_two_versions_are_compared(filled: Project, tmp_path: Path) -> None:
    freeze_version(filled)
    cats = list_samples(filled, query=SampleQuery(label="cat"))
    set_label(filled, [cats[0].id], "dog")
    exclude(filled, [cats[1].id])
    import_source(filled, write_classes(tmp_path / "more", {"owl": 2}, start=90))
    freeze_version(filled)
    diff = diff_versions(filled, 1, 2)
    assert (len(diff.added), diff.removed) == (2, (cats[1].sha256,))
    assert [(r.sha256, r.before, r.after) for r in diff.relabelled] == [(cats[0].sha256, "cat", "dog")]
    assert diff_versions(filled, 1, 1).moved == ()


def test_a_version_is_restored_and_the_restoring_undone(filled: Project, tmp_path: Path) -> None:
    first = freeze_version(filled)
    set_label(filled, [1, 2, 3], "lynx")
    exclude(filled, [9, 10])
    import_source(filled, write_classes(tmp_path / "more", {"owl": 4}, start=90))
    second = freeze_version(filled)
    assert restore_version(filled, 1) == 9
    assert freeze_version(filled) == first
    assert undo(filled) == "restore dataset version 1"
    assert freeze_version(filled).digest == second.digest


def test_a_changed_file_is_refused(filled: Project) -> None:
    freeze_version(filled)
    path = version_path(filled, 1)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"cat"', b'"dog"', 1))
    with pytest.raises(VersionError, match="changed after it was frozen"):
        load_version(filled)
    path.unlink()
    with pytest.raises(VersionError, match="can not be read"):
        load_version(filled)


def test_too_little_is_refused_with_advice(project: Project, tmp_path: Path) -> None:
    import_source(project, write_classes(tmp_path / "one", {"cat": 5}))
    with pytest.raises(VersionError, match="2 classes at least, got 1") as caught:
        freeze_version(project)
    assert caught.value.advice
    with pytest.raises(VersionError, match="no dataset version yet"):
        load_version(project)
    with pytest.raises(VersionError, match="no dataset version 7"):
        load_version(project, 7)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_that_make_no_sense_are_refused(filled: Project, shares: tuple[float, float, float]) -> None:
    with pytest.raises(VersionError, match="together 1"):
        freeze_version(filled, shares=shares)


def test_an_original_that_was_changed_is_noticed(filled: Project) -> None:
    sample = freeze_version(filled).samples[0]
    assert load_image(filled, sample.sha256).dtype == "uint8"
    filled.blob_path(sample.sha256).write_bytes(b"changed")
    with pytest.raises(DataError, match="was changed"):
        load_image(filled, sample.sha256)
    filled.blob_path(sample.sha256).unlink()
    with pytest.raises(DataError, match="lacks the original"):
        load_image(filled, sample.sha256)


@pytest.fixture
def table(table_project: Project, tmp_path: Path) -> Project:
    lines = [f"{n / 4},{n % 7},{'red' if n % 2 else '?'},{'good' if n % 3 else 'bad'}" for n in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["size,count,colour,kind", *lines, *lines[:10]]))
    import_source(table_project, tmp_path / "t.csv")
    return table_project


def test_a_tables_version_has_columns_and_rows_without_the_target(table: Project) -> None:
    version = freeze_version(table)
    assert version.target == "kind"
    assert version.columns == (Column("size", "float"), Column("count", "integer"), Column("colour", "category", ("red",)))
    rows = load_rows(version)
    assert len(rows) == 70
    assert all(row.keys() == {"size", "count", "colour"} for row in rows)
    assert {row["colour"] for row in rows} == {"red", None}
    assert load_columns(version, version.of_split("test"))[version.columns[0]] == [s.row["size"] for s in version.of_split("test") if s.row]


def test_equal_rows_of_a_table_are_never_in_two_splits(table: Project) -> None:
    version = freeze_version(table)
    splits: dict[str, set[str]] = {}
    for sample in version.samples:
        splits.setdefault(sample.sha256, set()).add(sample.split)
    assert all(len(found) == 1 for found in splits.values())


def test_a_tables_digest_does_not_depend_on_the_order_of_its_rows(table: Project, tmp_path: Path) -> None:
    header, *lines = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "r.csv").write_text("\n".join([header, *reversed(lines)]))
    with create_project(tmp_path / "reversed", "r", "tabular-classification") as other:
        import_source(other, tmp_path / "r.csv")
        assert freeze_version(other).digest == freeze_version(table).digest


def test_a_known_table_has_the_digest_it_always_had(table_project: Project, tmp_path: Path) -> None:
    """A change of this digest breaks every project that exists: give the document a new schema version instead."""
    lines = [f"{n / 8};{n % 5};{'ñ' if n % 2 else 'b'};{'no' if n % 4 else 'yes'}" for n in range(24)]
    (tmp_path / "known.csv").write_text("\n".join(["size;count;letter;kind", *lines]), encoding="utf-8")
    import_source(table_project, tmp_path / "known.csv")
    assert freeze_version(table_project, seed=7).digest == "98d5035c7a29d38898b36fb87adb26d6f2b432e13a97997caf064903e4f05337"


def test_a_row_that_was_changed_is_noticed(table: Project) -> None:
    freeze_version(table)
    table.db.execute("UPDATE samples SET row = replace(row, 'red', 'blue')")
    with pytest.raises(VersionError, match="missing or was changed"):
        load_version(table)


def test_images_have_no_rows(filled: Project) -> None:
    with pytest.raises(DataError, match="it has no rows"):
        load_rows(freeze_version(filled))
