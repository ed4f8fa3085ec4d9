"""Ctrl-C in the middle of long work: no process goes on, nothing half-written stays, and the work can be taken up again."""

import sqlite3
from pathlib import Path

import pytest

from tests.stories.pictures import grey_png, write_colours
from tests.stories.programs import Programs, wait_for

pytestmark = pytest.mark.story

INTERRUPTED = 130
EPOCHS = 12
FEW, MANY = 4, 4000
RECIPE = ("--batch-size", 2, "-o", "width=4", "-o", "input_size=16", "--threads", 1)


def test_training_is_interrupted_and_resumed(programs: Programs, tmp_path: Path) -> None:
    project = ("--project", tmp_path / "project")
    programs.studio("import", write_colours(tmp_path / "pictures", 30), *project)
    programs.studio("freeze", *project)
    programs.start("train", "eyelet-studio", "train", "--architecture", "small-cnn", "--epochs", EPOCHS, *RECIPE, *project)
    wait_for("the first epoch", lambda: f"epoch 1 of {EPOCHS}: " in programs.log("train"), 60, lambda: programs.log("train"))
    assert programs.press_ctrl_c("train") == INTERRUPTED, programs.log("train")
    assert "Traceback" not in programs.log("train")
    assert "--resume" in programs.log("train")
    wait_for("the end of every process", lambda: not programs.alive(), 30, lambda: str(programs.alive()))
    run = programs.studio("runs", "latest", *project)["run"]
    assert run["state"]["state"] == "cancelled"
    done = run["state"]["epochs_done"]
    assert 1 <= done < EPOCHS
    assert not list((tmp_path / "project").rglob("*.tmp"))
    resumed = programs.studio("train", "--resume", "latest", *project)
    assert (resumed["id"], resumed["state"]["state"], resumed["state"]["epochs_done"]) == (run["id"], "done", EPOCHS)


def write_many(folder: Path) -> Path:
    """Many different small pictures, quickly."""
    folder.mkdir(parents=True)
    for number in range(MANY):
        (folder / f"{number:05}.png").write_bytes(grey_png(32, 4, number.to_bytes(4, "big")))
    return folder


def samples_in(project: Path) -> int:
    """How many samples the catalogue has; it must be whole."""
    with sqlite3.connect(project / "catalogue.sqlite") as catalogue:
        assert catalogue.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count = int(catalogue.execute("SELECT count(*) FROM samples").fetchone()[0])
    catalogue.close()
    return count


def test_an_interrupted_import_changes_nothing_and_can_be_run_again(programs: Programs, tmp_path: Path) -> None:
    project = tmp_path / "project"
    programs.studio("import", write_colours(tmp_path / "few", FEW), "--project", project)
    before = sum(path.is_file() for path in (project / "blobs").rglob("*"))
    write_many(tmp_path / "many" / "grey")
    programs.start("import", "eyelet-studio", "import", tmp_path / "many", "--project", project)
    wait_for("the import's first files", lambda: sum(path.is_file() for path in (project / "blobs").rglob("*")) > before)
    assert programs.press_ctrl_c("import") == INTERRUPTED, programs.log("import")
    assert "Traceback" not in programs.log("import")
    wait_for("the end of every process", lambda: not programs.alive(), 30, lambda: str(programs.alive()))
    assert samples_in(project) == 3 * FEW
    report = programs.studio("import", tmp_path / "many", "--project", project)
    assert (report["taken"], report["duplicates"], report["refused"]) == (MANY, 0, [])
    assert samples_in(project) == 3 * FEW + MANY


def test_an_interrupted_first_import_leaves_no_project_behind(programs: Programs, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_many(tmp_path / "many" / "grey")
    programs.start("first", "eyelet-studio", "import", tmp_path / "many", "--project", project)
    wait_for("the import's first files", lambda: any(path.is_file() for path in (project / "blobs").rglob("*")))
    assert programs.press_ctrl_c("first") == INTERRUPTED, programs.log("first")
    wait_for("the end of every process", lambda: not programs.alive(), 30, lambda: str(programs.alive()))
    assert not (project / "project.json").exists()
    assert not (project / "catalogue.sqlite").exists()
    assert programs.studio("import", tmp_path / "many", "--project", project)["taken"] == MANY
