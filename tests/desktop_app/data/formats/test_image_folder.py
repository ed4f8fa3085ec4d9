import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_app.data.formats import image_folder
from desktop_app.data.formats.source import ImportOptions, KnownColumns, Refused, Taken
from desktop_app.errors import SourceError
from desktop_app.jobs.context import SilentReport
from tests.desktop_app.data.pictures import picture, write_classes

ROOT = Path(__file__).parents[4]


def read(folder: Path) -> tuple[dict[str, Taken], dict[str, str]]:
    """What is taken by name, and why the rest is refused by name."""
    opened = image_folder.open_source(folder, ImportOptions(), KnownColumns(), SilentReport())
    items = list(opened.items)
    assert len(items) == opened.total
    return {i.name: i for i in items if isinstance(i, Taken)}, {i.name: i.reason for i in items if isinstance(i, Refused)}


def test_folders_are_classes_at_any_depth(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 2, "dog/young": 1})
    taken, refused = read(tmp_path)
    assert {name: item.label for name, item in taken.items()} == {"cat/000.png": "cat", "cat/001.png": "cat", "dog/young/000.png": "dog"}
    assert not refused


def test_a_flat_folder_is_unlabelled(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    taken, _ = read(tmp_path)
    assert taken["a.png"].label is None


@pytest.mark.parametrize(("folder", "split"), [("train", "train"), ("Val", "validation"), ("VALIDATION", "validation"), ("test", "test")])
def test_folders_called_like_splits_are_splits(tmp_path: Path, folder: str, split: str) -> None:
    write_classes(tmp_path / folder, {"cat": 1})
    taken, _ = read(tmp_path)
    assert (taken[f"{folder}/cat/000.png"].label, taken[f"{folder}/cat/000.png"].given_split) == ("cat", split)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    write_classes(tmp_path, {"train": 1, "aeroplane": 1})
    taken, _ = read(tmp_path)
    assert (taken["train/000.png"].label, taken["train/000.png"].given_split) == ("train", "")
    shutil.rmtree(tmp_path / "aeroplane")
    write_classes(tmp_path, {"test": 1})
    taken, _ = read(tmp_path)
    assert taken["train/000.png"].label == "train"


def test_links_out_of_the_folder_and_linked_folders_are_refused(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "in", {"cat": 2})
    write_classes(tmp_path / "out", {"secret": 1}, start=50)
    (folder / "cat" / "out.png").symlink_to(tmp_path / "out" / "secret" / "000.png")
    (folder / "cat" / "nowhere.png").symlink_to(tmp_path / "absent.png")
    (folder / "cat" / "loop.png").symlink_to(folder / "cat" / "loop.png")
    (folder / "dog").symlink_to(folder / "cat")
    (folder / "up").symlink_to(tmp_path)
    (folder / "cat" / "inside.png").symlink_to("001.png")
    taken, refused = read(folder)
    assert sorted(taken) == ["cat/000.png", "cat/001.png", "cat/inside.png"]
    assert refused == {
        "cat/out.png": "it is a link that leads out of the folder",
        "cat/nowhere.png": "it is a link that leads nowhere",
        "cat/loop.png": "it is a link that leads nowhere",
        "dog": "it is a link to a folder; links to folders are not followed",
        "up": "it is a link that leads out of the folder",
    }


def test_names_that_could_steer_a_terminal_are_escaped(tmp_path: Path) -> None:
    for name in (b"a\nb.png", b"\x1b[31mred.png", b"\xff\xfe.png", "right\u202egnp.left.png".encode()):
        path = os.path.join(os.fsencode(tmp_path), b"cl\nass", name)  # noqa: PTH118  (bytes, which Path does not take)
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(picture(len(name)))
    taken, refused = read(tmp_path)
    assert not refused
    assert all(name.isprintable() and (item.label or "").isprintable() for name, item in taken.items())
    assert r"cl\nass/a\nb.png" in taken
    assert r"cl\nass/\xff\xfe.png" in taken
    assert {item.label for item in taken.values()} == {r"cl\nass"}


def test_hidden_files_pipes_and_empty_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    taken, refused = read(tmp_path)
    assert not taken
    assert refused["cat"] == "the folder is empty"
    assert "hidden" in refused[".DS_Store"]
    assert "hidden" in refused["Thumbs.db"]
    assert "no ordinary file" in refused["pipe.png"]


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    assert read(tmp_path) == ({}, {".": "the folder is empty"})


def test_a_folder_without_end_is_refused_at_its_bound(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 20)
    deep.mkdir(parents=True)
    (deep / "a.png").write_bytes(picture(1))
    taken, refused = read(tmp_path)
    assert not taken
    assert "more than 16 folders deep" in next(iter(refused.values()))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    with pytest.raises(SourceError, match="no folder"):
        image_folder.open_source(tmp_path / "a.png", ImportOptions(), KnownColumns(), SilentReport())


def test_options_for_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="target: options for tables"):
        image_folder.open_source(tmp_path, ImportOptions(target="kind"), KnownColumns(), SilentReport())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="eyelet-test-"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


READ_AS_NOBODY = """
import json, os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from desktop_app.data.formats.image_files import read_image_file
from desktop_app.data.formats.image_folder import open_source
from desktop_app.data.formats.source import ImportOptions, KnownColumns, Refused
from desktop_app.jobs.context import SilentReport
folder = Path(sys.argv[1])
read_image_file(folder / "cat" / "000.png")  # imports what it needs while it may
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
items = open_source(folder, ImportOptions(), KnownColumns(), SilentReport()).items
print(json.dumps({i.name: i.reason if isinstance(i, Refused) else "taken" for i in items}))
"""


def test_what_may_not_be_read_is_refused_and_the_rest_taken(open_folder: Path) -> None:
    folder = write_classes(open_folder / "pictures", {"cat": 2, "locked": 1})
    (folder / "cat" / "001.png").chmod(0)
    (folder / "locked").chmod(0)
    done = subprocess.run([sys.executable, "-c", READ_AS_NOBODY, folder, ROOT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "cat/000.png": "taken",
        "cat/001.png": "no permission to read it",
        "locked": "no permission to list the folder",
    }
