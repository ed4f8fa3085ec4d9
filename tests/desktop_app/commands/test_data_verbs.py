import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from desktop_app.data.catalogue import count_samples
from desktop_app.data.labelling_queue import queue_image
from desktop_app.data.project import open_project
from tests.desktop_app.commands.studio import Studio
from tests.desktop_app.data.pictures import picture, write_classes
from tests.simulators.waiting import PROMPT_S


def test_a_folder_becomes_a_project_an_acceptance_set_and_a_version(studio: Studio, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 20, "dog": 20})
    (folder / "cat" / "no\npicture.png").write_text("text")
    imported = studio("import", folder, "--project", "p", "--json")
    assert imported.code == 0, imported.err
    assert (imported.json["taken"], imported.json["refused"][0]["name"]) == (40, r"cat/no\npicture.png")
    accepted = studio("acceptance", "--count", 10, "--project", "p", "--json")
    assert (accepted.json["count"], accepted.json["classes"]) == (10, {"cat": 5, "dog": 5})
    frozen = studio("freeze", "--seed", 3, "-p", "p", "--json")
    assert (frozen.json["number"], frozen.json["samples"], sum(frozen.json["splits"].values())) == (1, 30, 30)
    assert studio("versions", "-p", "p", "--json").json == [frozen.json]
    assert studio("versions", "-p", "p").out.startswith("1  ")


def test_the_present_folder_is_the_project_unless_told_otherwise(studio: Studio, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 2})
    assert studio("import", folder).code == 0
    with open_project(tmp_path / "desk") as project:
        assert (project.name, count_samples(project)) == ("desk", 2)


def test_a_report_is_readable_and_bounded(studio: Studio, tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "animals", {"cat": 2})
    for number in range(25):
        (folder / "cat" / f"note{number:02d}.png").write_text("text")
    shown = studio("import", folder, "-p", "p").out
    assert "took 2 samples of animals" in shown
    assert "refused: 25" in shown
    assert "… and 5 more (--all names them)" in shown
    assert "note24" in studio("import", folder, "-p", "p", "--all").out


def test_a_table_is_imported_with_a_chosen_target(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("kind;size\n" + "".join(f"{'xy'[n % 2]};{n}\n" for n in range(20)))
    imported = studio("import", tmp_path / "t.csv", "-p", "p", "--target", "kind", "--json")
    assert (imported.json["target"], imported.json["classes"]) == ("kind", {"x": 10, "y": 10})
    assert studio("freeze", "-p", "p").out.startswith("dataset version 1")


def test_a_failed_first_import_leaves_no_project(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("one\ncolumn\n")
    failed = studio("import", tmp_path / "t.csv", "-p", "p")
    assert (failed.code, failed.out) == (1, "")
    assert "Error: the table has one column only" in failed.err
    assert "Traceback" not in failed.err
    assert not Path("p").exists()
    assert studio("import", tmp_path / "absent", "-p", "p").code == 1


def test_an_import_that_takes_nothing_reports_and_fails(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = studio("import", tmp_path / "empty", "-p", "p", "--json")
    assert nothing.code == 1
    assert nothing.json["refused"] == [{"name": ".", "reason": "the folder is empty"}]
    assert "nothing was taken" in nothing.err


def test_verbs_without_a_project_say_what_to_do(studio: Studio) -> None:
    for verb in ("freeze", "acceptance", "versions", "label"):
        failed = studio(verb, "-p", "nowhere")
        assert failed.code == 1
        assert "nowhere is no project" in failed.err
        assert "eyelet-studio new" in failed.err


def test_new_makes_a_project_once(studio: Studio) -> None:
    assert studio("new", "p", "--name", "My digits", "--json").json["name"] == "My digits"
    again = studio("new", "p")
    assert (again.code, "holds a project already" in again.err) == (1, True)


def test_labels_are_listed_set_cleared_excluded_and_undone(studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    for number in range(3):
        (tmp_path / "flat" / f"{number}.png").write_bytes(picture(number))
    studio("import", tmp_path / "flat", "-p", "p")
    with open_project(Path("p")) as project:
        queue_image(project, picture(50), name="seen.png", predicted="cat", predicted_score=0.5)
    listed = studio("label", "-p", "p", "--json").json
    assert [sample["name"] for sample in listed] == ["seen.png", "0.png", "1.png", "2.png"]
    assert "(predicted cat)" in studio("label", "-p", "p").out
    assert studio("label", "owl", listed[1]["id"], listed[2]["sha256"][:12], "-p", "p").out == "2 samples labelled as 'owl'\n"
    assert studio("label", "--clear", listed[1]["id"], "-p", "p").code == 0
    assert studio("label", "--exclude", listed[3]["id"], "-p", "p").code == 0
    assert len(studio("label", "-p", "p", "--json").json) == 2
    assert studio("label", "--undo", "-p", "p").out == "undid: exclude 1 sample\n"
    assert studio("label", "owl", "-p", "p").code == 2
    unknown = studio("label", "owl", "deadbeef", "-p", "p")
    assert (unknown.code, "names no sample" in unknown.err) == (1, True)


def test_versions_are_compared_and_restored(studio: Studio, tmp_path: Path) -> None:
    studio("import", write_classes(tmp_path / "animals", {"cat": 10, "dog": 10}), "-p", "p")
    studio("freeze", "-p", "p")
    studio("label", "dog", 1, "-p", "p")
    studio("freeze", "-p", "p")
    assert "1 relabelled" in studio("versions", "--diff", 1, 2, "-p", "p").out
    assert len(studio("versions", "--diff", 1, 2, "-p", "p", "--json").json["relabelled"]) == 1
    assert studio("versions", "--restore", 1, "-p", "p").out == "restored dataset version 1: 1 samples changed\n"
    assert studio("freeze", "-p", "p", "--json").json["number"] == 1
    assert studio("versions", "--diff", 1, 9, "-p", "p").code == 1


def test_ctrl_c_cancels_an_import_and_leaves_no_process_and_no_project(tmp_path: Path) -> None:
    with (tmp_path / "long.csv").open("w") as file:
        file.writelines(f"{number},{number / 3},{'xy'[number % 2]}\n" for number in range(400_000))
    command = [sys.executable, "-m", "desktop_app", "import", tmp_path / "long.csv", "-p", tmp_path / "p"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 20
    while not (children := psutil.Process(process.pid).children()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - started < PROMPT_S  # the command's own end included
    assert process.returncode == 130
    assert "Interrupted" in err
    assert not psutil.wait_procs(children, timeout=5)[1]
    assert not (tmp_path / "p").exists()
