from pathlib import Path

import click
import pytest

from desktop_app.commands import terminal
from desktop_app.commands.terminal import PlainProgress, ask_passphrase, describe, keys_option, print_result, run_job
from desktop_app.data.project import create_project
from desktop_app.errors import JobError
from desktop_app.jobs.events import Hello, Message, Metric, Progress
from desktop_app.jobs.requests import FreezeJob


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Message("hello"), "hello"),
        (Metric("accuracy", 0.98765, epoch=3, split="validation"), "epoch 3: validation accuracy 0.9877"),
        (Metric("loss", 0.5, epoch=1, step=7), ""),
        (Hello("x", 1), ""),
    ],
)
def test_events_are_described_in_one_line(event: Message, line: str) -> None:
    assert describe(event) == line


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 101.0, 106.0, 107.0, 112.0])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    progress = PlainProgress()
    for done in range(4):
        progress.show(Progress(done, 0 if done == 3 else 9, "files", "importing"))
    assert capsys.readouterr().err == "importing 1/9 files\nimporting 3/? files\n"


def test_a_failed_job_is_an_error_with_the_jobs_words(tmp_path: Path) -> None:
    create_project(tmp_path / "p", "p", "image-classification").close()
    with pytest.raises(JobError, match="2 classes at least") as caught:
        run_job(tmp_path / "p", FreezeJob())
    assert caught.value.advice


def test_results_are_text_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"path": Path("a/b")}, "text", as_json=True)
    print_result({}, "text", as_json=False)
    assert capsys.readouterr().out == '{\n  "path": "a/b"\n}\ntext\n'


def test_the_passphrase_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EYELET_PASSPHRASE", "open sesame")
    assert ask_passphrase() == "open sesame"


def test_the_keys_folder_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")

    @click.command()
    @keys_option
    def show(keys_folder: Path) -> Path:
        return keys_folder

    assert show.main([], standalone_mode=False) == Path("/home/somebody/.config/eyelet/keys")
    assert show.main(["--keys", "~/k"], standalone_mode=False) == Path("/home/somebody/k")
