import subprocess
import sys
from pathlib import Path

import click
import pytest

from desktop_app import cli, commands
from desktop_app.cli import VERBS, LazyGroup, Verb, run
from desktop_app.data.project import create_project
from desktop_app.errors import StudioError

HEAVY = ("torch", "numpy", "PySide6", "sklearn", "pandas", "sqlite_utils", "lightning", "onnxruntime", "httpx", "tuf")
NO_VERBS = {"terminal", "server_options"}
SHOW_HEAVY = f"""
import sys
from desktop_app.cli import run
code = run(sys.argv[1:])
print(code, [name for name in {HEAVY} if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], *[[verb, "--help"] for verb in VERBS]], ids=" ".join)
def test_help_answers_without_the_heavy_libraries(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", SHOW_HEAVY, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_a_verb_that_reads_the_catalogue_draws_in_no_pandas(tmp_path: Path) -> None:
    create_project(tmp_path, "empty", "tabular-classification").close()
    done = subprocess.run([sys.executable, "-c", SHOW_HEAVY, "versions", "-p", tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 ['numpy', 'sqlite_utils']", done.stderr


def test_every_module_of_the_folder_is_a_verb_and_the_other_way_round() -> None:
    folder = Path(commands.__file__).parent
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"} - NO_VERBS
    assert {verb.target for verb in VERBS.values()} == {f"desktop_app.commands.{module}:command" for module in modules}


def test_the_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in VERBS)


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dance"]) == 2
    assert "No such command 'dance'" in capsys.readouterr().err
    assert run(["freeze", "--seed", "one"]) == 2
    assert "'one' is not a valid integer" in capsys.readouterr().err


def test_a_verb_that_is_absent_or_broken_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(VERBS, "dance", Verb("desktop_app.commands.dance:command", "Dance."))
    assert run(["dance"]) == 1
    assert capsys.readouterr().err == "Error: the verb 'dance' is not part of this installation (desktop_app.commands.dance is missing)\n"
    monkeypatch.setitem(VERBS, "dance", Verb("desktop_app.errors:absent", "Dance."))
    assert run(["dance"]) == 1
    assert "is broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (StudioError("the moon is full", "Wait."), 1, "Error: the moon is full\nWait.\n"),
        (ZeroDivisionError("oops"), 1, "Error: ZeroDivisionError: oops (set EYELET_DEBUG=1 for the whole story)\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, shown: str
) -> None:
    @click.command("fail")
    def fail() -> None:
        raise error

    monkeypatch.setattr(LazyGroup, "get_command", lambda _self, _context, _name: fail)
    assert run(["fail"]) == code
    captured = capsys.readouterr()
    assert captured.err.lstrip("\n") == shown
    assert captured.out == ""


def test_the_whole_story_is_told_on_request(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EYELET_DEBUG", "1")
    assert cli._say(ZeroDivisionError("oops")) == 1
    assert "ZeroDivisionError: oops" in capsys.readouterr().err


def test_the_module_runs_as_the_program() -> None:
    done = subprocess.run([sys.executable, "-m", "desktop_app", "--version"], capture_output=True, text=True, check=True)
    assert "version" in done.stdout
