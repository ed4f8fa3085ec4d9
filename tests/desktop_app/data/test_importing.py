import shutil
from pathlib import Path

import pytest

from contract.files import sha256_of
from desktop_app.data.catalogue import SampleQuery, class_counts, count_samples, find_sample, list_samples, set_label
from desktop_app.data.formats.source import ImportOptions
from desktop_app.data.importing import import_source, list_imports, parse_options
from desktop_app.data.project import Project, create_project
from desktop_app.errors import JobCancelledError, SourceError
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.events import Event, Progress
from tests.desktop_app.data.pictures import huge_png, picture, write_classes


def content(project: Project) -> list[tuple[object, ...]]:
    """What the catalogue holds, whatever the order it came in."""
    return sorted(project.db.execute("SELECT sha256, occurrence, label, given_split, conflict, row FROM samples").fetchall(), key=repr)


def test_a_folder_is_imported_with_counts_and_originals(project: Project, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 3, "dog": 2})
    report = import_source(project, folder)
    assert (report.taken, report.duplicates, report.classes, report.source) == (5, 0, {"cat": 3, "dog": 2}, "animals")
    assert class_counts(project) == {"cat": 3, "dog": 2}
    for sample in list_samples(project):
        body = (folder / sample.name).read_bytes()
        assert project.blob_path(sample.sha256).read_bytes() == body
        assert (sample.sha256, sample.size_bytes, sample.width, sample.height) == (sha256_of(body), len(body), 8, 8)
    assert list_imports(project) == [report]


def test_nonsense_is_reported_and_the_rest_taken(project: Project, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "mixed", {"cat": 2})
    cat = folder / "cat"
    (cat / "note.png").write_text("this is a note, no picture")
    (cat / "empty.png").touch()
    (cat / "huge.png").write_bytes(huge_png(20_000, 20_000, with_pixels=True))
    (cat / "cut.jpg").write_bytes(picture(9, (200, 200), "JPEG")[:-300])
    (cat / "a\nb.png").write_bytes(picture(77))
    (cat / "copy.png").write_bytes((cat / "000.png").read_bytes())
    (folder / "nothing").mkdir()
    (cat / "out.png").symlink_to("/etc/hostname")
    report = import_source(project, folder)
    assert (report.taken, report.duplicates) == (3, 1)
    assert {refused.name for refused in report.refused} == {
        "cat/note.png", "cat/empty.png", "cat/huge.png", "cat/cut.jpg", "cat/out.png", "nothing",
    }  # fmt: skip
    assert all(refused.reason and "\n" not in refused.reason for refused in report.refused)


def test_a_second_import_finds_only_duplicates(project: Project, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 3})
    import_source(project, folder)
    before = content(project)
    report = import_source(project, folder)
    assert (report.taken, report.duplicates) == (0, 3)
    assert content(project) == before


def test_one_content_under_two_labels_has_none_until_a_person_decides(project: Project, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 2, "dog": 1})
    (folder / "dog" / "same.png").write_bytes((folder / "cat" / "001.png").read_bytes())
    report = import_source(project, folder)
    conflict = report.conflicts[0]
    assert (conflict.name, conflict.label, conflict.other_name, conflict.other_label) == ("dog/same.png", "dog", "cat/001.png", "cat")
    sample = list_samples(project, query=SampleQuery(conflict=True))[0]
    assert (sample.label, sample.name) == (None, "cat/001.png")
    set_label(project, [sample.id], "dog")
    import_source(project, folder)
    decided = find_sample(project, sample.sha256)
    assert decided is not None
    assert (decided.label, decided.conflict) == ("dog", False)


def test_the_order_of_imports_does_not_matter(tmp_path: Path) -> None:
    first = write_classes(tmp_path / "first", {"cat": 3, "dog": 3})
    second = write_classes(tmp_path / "second", {"cat": 2, "owl": 2}, start=100)
    (second / "owl" / "a cat.png").write_bytes((first / "cat" / "000.png").read_bytes())
    (second / "dog").mkdir()
    (second / "dog" / "again.png").write_bytes((first / "dog" / "000.png").read_bytes())
    found = []
    for name, order in (("ab", (first, second)), ("ba", (second, first))):
        with create_project(tmp_path / name, name, "image-classification") as project:
            for folder in order:
                import_source(project, folder)
            found.append(content(project))
    assert found[0] == found[1]


def test_a_content_in_two_given_splits_is_named_and_goes_to_the_test(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    write_classes(folder / "train", {"cat": 2})
    write_classes(folder / "test", {"cat": 1}, start=50)
    (folder / "test" / "cat" / "leak.png").write_bytes((folder / "train" / "cat" / "000.png").read_bytes())
    report = import_source(project, folder)
    assert [(leak.name, leak.other_name, leak.kept) for leak in report.leaks] == [("train/cat/000.png", "test/cat/leak.png", "test")]
    assert count_samples(project, SampleQuery(text="leak")) == 1
    assert list_samples(project, query=SampleQuery(text="leak"))[0].given_split == "test"


def test_a_label_that_comes_later_is_taken(project: Project, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "x.png").write_bytes(picture(0))
    assert import_source(project, tmp_path / "flat").unlabelled == 1
    import_source(project, write_classes(tmp_path / "animals", {"cat": 1}))
    assert class_counts(project) == {"cat": 1}


class CancelAfter(JobContext):
    """Cancels itself when it has seen some progress."""

    def __init__(self, files: int) -> None:
        super().__init__(self._see)
        self._files = files
        self.seen: list[Event] = []
        self._left = files

    def _see(self, event: Event) -> None:
        self.seen.append(event)

    def check_cancelled(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.cancel()
        super().check_cancelled()


@pytest.mark.parametrize("after", [1, 8, 25, 42])
def test_a_cancelled_import_leaves_the_catalogue_as_it_was_and_can_be_run_again(project: Project, tmp_path: Path, after: int) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 20})
    with pytest.raises(JobCancelledError):
        import_source(project, folder, report=CancelAfter(after))
    assert count_samples(project) == 0
    assert list_imports(project) == []
    assert not list(project.folder.rglob("*.tmp"))
    assert import_source(project, folder).taken == 20


def test_progress_counts_files(project: Project, tmp_path: Path) -> None:
    events: list[Event] = []
    import_source(project, write_classes(tmp_path / "animals", {"cat": 5}), report=JobContext(events.append))
    assert events[-1] == Progress(5, 5, "files", "importing")


def test_a_blob_that_a_power_cut_left_short_is_written_again(project: Project, tmp_path: Path) -> None:
    body = picture(0)
    path = project.blob_path(sha256_of(body))
    path.parent.mkdir(parents=True)
    path.touch()
    import_source(project, write_classes(tmp_path / "animals", {"cat": 1}))
    assert path.read_bytes() == body


def test_a_project_in_the_folder_to_be_imported_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 1})
    with create_project(tmp_path / "project", "p", "image-classification") as project:
        for source in (tmp_path, project.folder, project.folder / "blobs"):
            source.mkdir(exist_ok=True)
            with pytest.raises(SourceError, match="the project lies in the folder"):
                import_source(project, source)


def test_a_table_is_refused_by_a_project_of_images(project: Project, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,y\n")
    with pytest.raises(SourceError, match="for tabular-classification; the project is for image-classification"):
        import_source(project, tmp_path / "t.csv")


TABLE = "a,b,kind\n" + "".join(f"{n},{'uv'[n % 2]},{'xyz'[n % 3]}\n" for n in range(30)) + "1,v,y\n1,v,y\n1,v,x\n"


def test_equal_rows_of_a_table_are_samples_of_their_own_and_a_second_import_adds_none(table_project: Project, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    report = import_source(table_project, tmp_path / "t.csv")
    assert (report.taken, report.duplicates, report.target, report.classes) == (33, 0, "kind", {"x": 11, "y": 12, "z": 10})
    assert [s.occurrence for s in list_samples(table_project) if s.row == {"a": 1, "b": "v", "kind": "y"}] == [0, 1, 2]
    again = import_source(table_project, tmp_path / "t.csv")
    assert (again.taken, again.duplicates) == (0, 33)


def test_a_table_with_other_columns_is_refused_whole(table_project: Project, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "other.csv").write_text("c,kind\n1,x\n2,y\n")
    import_source(table_project, tmp_path / "t.csv")
    before = content(table_project)
    with pytest.raises(SourceError, match=r"columns c .*the project's are a, b and 'kind'"):
        import_source(table_project, tmp_path / "other.csv")
    assert content(table_project) == before


def test_unknown_options_are_refused() -> None:
    assert parse_options({"target": "kind"}) == ImportOptions(target="kind")
    with pytest.raises(SourceError, match="targt"):
        parse_options({"targt": "kind"})


def test_what_was_imported_stays_when_its_source_is_gone(filled: Project, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "animals")
    assert all(filled.blob_path(sample.sha256).is_file() for sample in list_samples(filled))
