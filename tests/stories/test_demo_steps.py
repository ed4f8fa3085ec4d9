"""The demonstration's first step holds, and it never touches a folder that is not its own."""

import os
import sys
from pathlib import Path

import pytest

from tests.stories.programs import Programs, wait_for

pytestmark = pytest.mark.story

ROOT = Path(__file__).parents[2]


@pytest.fixture
def demo(programs: Programs) -> Programs:
    """The demonstration is a module of the repository, not a console script."""
    programs.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return programs


def test_the_first_step_holds(demo: Programs, tmp_path: Path) -> None:
    ran = demo.succeed("-m scripts.demo", "--folder", tmp_path / "demo", "--last-step", 1)
    assert "Every step held" in ran.out
    assert "1797 taken, 1 refused, 1 duplicate" in " ".join(ran.out.split())
    assert (tmp_path / "demo" / "project" / "versions" / "1.json").is_file()


def test_a_folder_with_something_else_in_it_is_refused_untouched(demo: Programs, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = demo.run("-m scripts.demo", "--folder", tmp_path, "--last-step", 1)
    assert ran.code == 1
    assert "name another folder" in ran.err
    assert "Traceback" not in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_ctrl_c_leaves_no_process(demo: Programs, tmp_path: Path) -> None:
    demo.start("demo", "-m scripts.demo", "--folder", tmp_path / "demo", "--last-step", 1)
    wait_for("the import", lambda: any("desktop_app.jobs.child" in line for line in demo.alive()), explain=lambda: demo.log("demo"))
    assert demo.press_ctrl_c("demo") == 130, demo.log("demo")
    assert "Stopped." in demo.log("demo")
    wait_for("the end of every process", lambda: not demo.alive(), 10, lambda: str(demo.alive()))
