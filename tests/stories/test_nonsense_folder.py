"""A user imports the folder that real life gives: among good pictures, everything that can be wrong with a file."""

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.stories.pictures import grey_png, write_colours
from tests.stories.programs import Programs, assert_refused

pytestmark = pytest.mark.story

HUGE = 20_000
GOOD = 3  # of each colour
WITHOUT_POWER_OVER_FILES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: by these root reads what nobody may read
    if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
"""
LIKE_ANY_USER = (sys.executable, "-c", WITHOUT_POWER_OVER_FILES) if os.geteuid() == 0 else ()


def write_nonsense(folder: Path) -> Path:
    """Nine good pictures, a tenth with a line break in its name, and one of each fault."""
    write_colours(folder, GOOD)
    blue, red = folder / "blue", folder / "red"
    (blue / "holiday.png").write_text("a text that calls itself a picture")
    (folder / "empty").mkdir()
    (blue / "huge.png").write_bytes(grey_png(HUGE, HUGE, bytes(HUGE // 8)))
    Image.new("RGB", (9, 9), (1, 2, 3)).save(red / "line\nbreak.png")
    (red / "bad\nname.png").write_text("no picture either")
    Image.new("RGB", (9, 9), (9, 9, 9)).save(folder.parent / "private.png")
    (red / "link.png").symlink_to(folder.parent / "private.png")
    Image.new("RGB", (8, 8), (7, 7, 7)).save(red / "locked.png")
    (red / "locked.png").chmod(0)
    body = io.BytesIO()
    Image.effect_noise((64, 64), 60).save(body, "JPEG")
    (red / "half.jpg").write_bytes(body.getvalue()[: len(body.getvalue()) // 2])
    shutil.copy(folder / "green" / "0000.png", folder / "green" / "copy.png")
    return folder


REASONS = {
    "blue/holiday.png": "it is text, no image",
    "empty": "the folder is empty",
    "blue/huge.png": "400,000,000 pixels",
    r"red/bad\nname.png": "it is text, no image",
    "red/link.png": "a link that leads out of the folder",
    "red/locked.png": "no permission to read it",
    "red/half.jpg": "truncated",
}


@pytest.fixture(scope="module")
def folder(programs: Programs) -> Path:
    return write_nonsense(programs.folder / "nonsense")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="root's power over files is taken away with prctl")
def test_good_files_are_taken_and_every_other_is_named_with_its_reason(programs: Programs, folder: Path) -> None:
    ran = programs.run("eyelet-studio", "import", folder, "--project", "named", "--json", before=LIKE_ANY_USER)
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    report: dict[str, Any] = ran.json
    assert (report["taken"], report["duplicates"]) == (3 * GOOD + 1, 1)
    assert report["classes"] == {"blue": GOOD, "green": GOOD, "red": GOOD + 1}
    refused = {entry["name"]: entry["reason"] for entry in report["refused"]}
    assert set(refused) == set(REASONS)
    for name, words in REASONS.items():
        assert words in refused[name], (name, refused[name])
    assert list((programs.folder / "named" / "blobs").rglob("*")), "the good files lie in the project"
    frozen = programs.studio("freeze", "--project", "named")
    assert frozen["samples"] == 3 * GOOD + 1


def test_the_report_on_the_terminal_has_one_line_for_each(programs: Programs, folder: Path) -> None:
    ran = programs.run("eyelet-studio", "import", folder, "--project", "shown")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    for name in set(REASONS) - {"red/locked.png"}:  # root may read that one
        assert sum(line.startswith(f"  {name}: ") for line in lines) == 1, (name, ran.out)
    assert "duplicates: 1" in lines
    assert not any("private" in line for line in lines), "where a link leads is nobody's business"


def test_a_folder_of_nothing_but_nonsense_is_an_error_in_words(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "one.png").write_text("none")
    ran = programs.run("eyelet-studio", "import", tmp_path, "--project", "nothing")
    assert_refused(ran, "nothing was taken")
    assert "cat/one.png" in ran.out
