import contextlib
import json
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from desktop_app.data.acceptance_set import find_acceptance
from desktop_app.data.catalogue import count_samples, list_samples, undo
from desktop_app.data.loading import load_image
from desktop_app.data.project import Project, create_project, open_project, remove_empty_project
from desktop_app.data.versions import freeze_version, load_version
from desktop_app.errors import DataError, ProjectError


def test_a_project_is_made_and_opened_again(tmp_path: Path) -> None:
    with create_project(tmp_path / "p", "my digits", "image-classification") as made:
        identifier = made.id
    with open_project(tmp_path / "p") as opened:
        assert (opened.id, opened.name, opened.task) == (identifier, "my digits", "image-classification")
        assert opened.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_moved_project_still_holds_its_samples(filled: Project, tmp_path: Path) -> None:
    filled.close()
    moved = Path(shutil.move(filled.folder, tmp_path / "elsewhere"))
    with open_project(moved) as opened:
        sample = list_samples(opened)[0]
        assert load_image(opened, sample.sha256).shape == (8, 8, 3)
        assert str(tmp_path) not in (moved / "project.json").read_text() + str(opened.db.execute("SELECT * FROM samples").fetchall())


def test_a_second_project_in_the_same_folder_is_refused(project: Project) -> None:
    with pytest.raises(ProjectError, match="holds a project already"):
        create_project(project.folder, "other", "image-classification")


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "\x1b[31m", "x" * 101])
def test_a_name_that_could_steer_a_terminal_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="name"):
        create_project(tmp_path / "p", name, "image-classification")
    assert not (tmp_path / "p").exists()


def test_an_unknown_task_is_refused_and_the_known_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="image-classification, tabular-classification"):
        create_project(tmp_path / "p", "p", "astrology")


def test_a_folder_without_a_project_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProjectError) as caught:
        open_project(tmp_path)
    assert "no project" in str(caught.value)
    assert "eyelet-studio new" in caught.value.advice


def test_a_newer_document_is_refused_with_both_numbers(project: Project) -> None:
    path = project.folder / "project.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 7}))
    with pytest.raises(ProjectError, match=r"version 7.*up to 1"):
        open_project(project.folder)


def test_a_newer_catalogue_is_refused_with_both_numbers_and_left_as_it_is(project: Project) -> None:
    project.db.execute("PRAGMA user_version = 9")
    project.close()
    before = (project.folder / "catalogue.sqlite").read_bytes()
    with pytest.raises(ProjectError, match=r"version 9.*up to 1"):
        open_project(project.folder)
    assert (project.folder / "catalogue.sqlite").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"schema_version": 1}', b"\xff\xfe"])
def test_a_broken_document_is_refused_in_one_sentence(project: Project, content: bytes) -> None:
    (project.folder / "project.json").write_bytes(content)
    with pytest.raises(ProjectError, match="can not be opened"):
        open_project(project.folder)


def test_a_catalogue_that_is_no_database_is_refused(project: Project) -> None:
    project.close()
    (project.folder / "catalogue.sqlite").write_bytes(b"this is no database, " * 100)
    with pytest.raises(ProjectError, match="damaged or no SQLite file"):
        open_project(project.folder)


def test_a_missing_catalogue_is_not_silently_made_anew(project: Project) -> None:
    project.close()
    (project.folder / "catalogue.sqlite").unlink()
    with pytest.raises(ProjectError, match="lacks its catalogue"):
        open_project(project.folder)


def test_each_thread_has_its_own_connection_and_close_closes_all(filled: Project) -> None:
    seen: list[tuple[sqlite3.Connection, int]] = []
    threads = [threading.Thread(target=lambda: seen.append((filled.db.conn, count_samples(filled)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [count for _, count in seen] == [50, 50, 50]
    assert len({id(connection) for connection, _ in seen}) == 3
    filled.close()
    for connection, _ in seen:
        with pytest.raises(sqlite3.ProgrammingError):
            connection.execute("SELECT 1")


def test_writers_in_two_threads_lose_nothing(project: Project) -> None:
    project.db.execute("CREATE TABLE counter (n INTEGER)")
    project.db.execute("INSERT INTO counter VALUES (0)")

    def count_up() -> None:
        for _ in range(50):
            with project.transaction() as db:
                (n,) = db.conn.execute("SELECT n FROM counter").fetchone()
                db.conn.execute("UPDATE counter SET n = ?", [n + 1])

    threads = [threading.Thread(target=count_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert project.db.execute("SELECT n FROM counter").fetchone() == (100,)


def test_an_error_in_a_transaction_leaves_nothing_behind(project: Project) -> None:
    def fail() -> None:
        with project.transaction() as db:
            db.conn.execute("INSERT INTO imports (at, source, report) VALUES ('now', 'x', '')")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert project.db.execute("SELECT count(*) FROM imports").fetchone() == (0,)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "AB" * 32, "a" * 63, "a" * 64 + "\n"])
def test_a_blob_path_can_not_lead_out_of_the_folder(project: Project, digest: str) -> None:
    with pytest.raises(DataError, match="no SHA-256"):
        project.blob_path(digest)


def test_only_an_empty_project_is_removed_and_foreign_files_stay(tmp_path: Path, filled: Project) -> None:
    assert not remove_empty_project(filled.folder)
    folder = tmp_path / "empty"
    create_project(folder, "empty", "image-classification").close()
    (folder / "mine.txt").write_text("keep me")
    assert remove_empty_project(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


GOLDEN = Path(__file__).parents[2] / "golden"


def test_a_project_of_schema_version_1_still_opens_whole(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "studio_project_1", tmp_path / "old"))
    with contextlib.closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection:
        connection.executescript((folder / "catalogue.sql").read_text(encoding="utf-8"))
    with open_project(folder) as opened:
        version = load_version(opened)
        acceptance = find_acceptance(opened)
        assert opened.name == "an old project"
        assert acceptance is not None
        assert (len(version.samples), len(acceptance.samples), version.target) == (34, 6, "kind")
        assert undo(opened) == "label 1 sample as 'yes'"
        assert freeze_version(opened).number == 2
