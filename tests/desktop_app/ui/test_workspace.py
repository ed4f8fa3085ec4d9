import threading
from pathlib import Path

import pytest
from PySide6.QtCore import QObject

from desktop_app.data.catalogue import count_samples
from desktop_app.errors import DataError, ProjectError
from desktop_app.ui.workspace import SAMPLES, Workspace

WAIT_MS = 30_000


@pytest.fixture
def workspace(qtbot, imported: Path):
    made = Workspace()
    made.open(imported)
    yield made
    made.close()


def test_a_question_is_answered_in_the_windows_thread(qtbot, workspace: Workspace):
    answers: list[tuple[int, bool]] = []
    threads: list[bool] = []

    def question(project):
        threads.append(threading.current_thread() is threading.main_thread())
        return count_samples(project)

    workspace.ask(workspace, "count", question, lambda n: answers.append((n, threading.current_thread() is threading.main_thread())))
    qtbot.waitUntil(lambda: bool(answers), timeout=WAIT_MS)
    assert answers == [(120, True)]
    assert threads == [False]


def test_a_late_answer_is_dropped(qtbot, workspace: Workspace):
    gate, answers = threading.Event(), []

    def slow(_project):
        gate.wait(5)
        return "old"

    workspace.ask(workspace, "same", slow, answers.append)
    workspace.ask(workspace, "same", lambda _project: "new", answers.append)
    qtbot.waitUntil(lambda: answers == ["new"], timeout=WAIT_MS)
    gate.set()
    workspace._pool.waitForDone(WAIT_MS)
    qtbot.wait(20)
    assert answers == ["new"]


def test_another_slot_or_asker_does_not_overtake(qtbot, workspace: Workspace):
    other, answers = QObject(), []
    workspace.ask(workspace, "a", lambda _p: 1, answers.append)
    workspace.ask(workspace, "b", lambda _p: 2, answers.append)
    workspace.ask(other, "a", lambda _p: 3, answers.append)
    qtbot.waitUntil(lambda: sorted(answers) == [1, 2, 3], timeout=WAIT_MS)


def test_an_asker_that_is_gone_gets_no_answer(qtbot, workspace: Workspace):
    import shiboken6

    asker, answers = QObject(), []
    workspace.ask(asker, "a", lambda _p: 1, answers.append)
    shiboken6.delete(asker)
    qtbot.waitUntil(lambda: workspace.is_idle, timeout=WAIT_MS)
    assert answers == []


def test_trouble_has_a_sentence_advice_and_details(qtbot, workspace: Workspace):
    def fail(_project):
        raise DataError("the blob is gone", "Restore it.")

    troubles = []
    workspace.ask(workspace, "a", fail, lambda _v: None, troubles.append)
    qtbot.waitUntil(lambda: bool(troubles), timeout=WAIT_MS)
    assert troubles[0].whole == "The blob is gone. Restore it."
    assert "DataError" in troubles[0].details


def test_a_change_tells_its_topics(qtbot, workspace: Workspace):
    with qtbot.waitSignal(workspace.changed, timeout=WAIT_MS) as told:
        workspace.change(workspace, lambda _p: None, frozenset({SAMPLES}))
    assert told.args == [frozenset({SAMPLES})]


def test_a_project_that_can_not_be_opened_leaves_the_old_one_open(workspace: Workspace, tmp_path: Path, imported: Path):
    with pytest.raises(ProjectError):
        workspace.open(tmp_path / "nothing")
    assert workspace.folder == imported


def test_without_a_project_nothing_is_asked(qtbot):
    workspace = Workspace()
    assert workspace.ask(workspace, "a", lambda _p: 1, lambda _v: None) == 0
