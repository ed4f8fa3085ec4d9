import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from desktop_app.jobs.events import Cancelled, Done, Failed, Hello, Message, Metric, Progress
from desktop_app.jobs.process import CANCEL_GRACE_S, JobProcess, start_job
from tests.desktop_app.jobs.tiny_jobs import COMMAND, TinyJob
from tests.simulators.waiting import PROMPT_S

ROOT = Path(__file__).parents[3]


def start(folder: Path, what: str, **fields: object) -> JobProcess:
    return start_job(folder, TinyJob(what, **fields), command=COMMAND)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def first_message(process: JobProcess) -> str:
    return next(event.text for event in process if isinstance(event, Message))


def test_a_job_says_hello_progress_metrics_and_its_result(folder: Path) -> None:
    with start(folder, "count") as process:
        events = list(process)
    assert events == [
        Hello("tiny", process.pid),
        Progress(1, 3, "steps", "counting"),
        Progress(2, 3, "steps", "counting"),
        Progress(3, 3, "steps", "counting"),
        Metric("loss", 0.25, 1, None, "train"),
        Message("loss is nan: not a finite number"),
        Done({"counted": 3, "name": "tiny", "folder": str(folder)}),
    ]
    assert process.wait() == events[-1]
    assert not process.running


def test_the_child_runs_in_a_process_group_of_its_own(folder: Path) -> None:
    with start(folder, "family") as process:
        first_message(process)
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)


def test_cancel_ends_a_willing_job_and_all_it_started_at_once(folder: Path) -> None:
    with start(folder, "family") as process:
        grandchild = int(first_message(process))
        started = time.monotonic()
        process.cancel()
        assert process.wait() == Cancelled()
        assert time.monotonic() - started < PROMPT_S
    wait_until(lambda: is_gone(grandchild))


def test_cancel_ends_a_stubborn_job_at_once(folder: Path) -> None:
    assert CANCEL_GRACE_S < 1
    with start(folder, "stubborn") as process:
        first_message(process)
        started = time.monotonic()
        process.cancel()
        assert process.wait() == Cancelled()
        assert time.monotonic() - started < PROMPT_S


def test_cancel_at_once_ends_a_job_that_has_hardly_begun(folder: Path) -> None:
    with start(folder, "count", steps=10_000, pause_s=0.01) as process:
        process.cancel()
        process.cancel()
        assert process.wait() == Cancelled()


def test_leaving_the_block_leaves_no_process(folder: Path) -> None:
    with start(folder, "stubborn") as process:
        first_message(process)
    assert is_gone(process.pid)


def test_what_a_job_left_running_ends_with_it(folder: Path) -> None:
    with start(folder, "leave") as process:
        left = int(first_message(process))
        assert process.wait() == Done(None)
    wait_until(lambda: is_gone(left))


def test_an_error_of_the_studio_arrives_with_its_advice(folder: Path) -> None:
    outcome = start(folder, "refuse").wait()
    assert isinstance(outcome, Failed)
    assert (outcome.error, outcome.advice) == ("the data are upside down", "Turn them round.")
    assert "DataError" in outcome.details


def test_a_fault_of_the_program_arrives_with_a_traceback_in_its_details(folder: Path) -> None:
    outcome = start(folder, "break").wait()
    assert isinstance(outcome, Failed)
    assert outcome.error == "ZeroDivisionError: seven by nothing"
    assert "do_break" in outcome.details


def test_a_killed_child_is_a_clear_failure_with_the_end_of_its_log(folder: Path) -> None:
    outcome = start(folder, "die").wait()
    assert isinstance(outcome, Failed)
    assert "'tiny' was killed by SIGKILL" in outcome.error
    assert "last words" in outcome.details


def test_a_child_that_exits_without_a_word_is_a_clear_failure(folder: Path) -> None:
    outcome = start(folder, "exit").wait()
    assert isinstance(outcome, Failed)
    assert "exit code 3 and no result" in outcome.error


def test_what_libraries_print_is_in_the_log_and_never_an_event(folder: Path) -> None:
    with start(folder, "noise") as process:
        assert [e for e in process if isinstance(e, Message | Done)] == [Message("quiet\nagain"), Done("real")]
        process.wait()
    for text in ("printed by a library", "forged", "printed by a process"):
        assert text in process.log


def test_hello_and_start_need_none_of_the_heavy_libraries(folder: Path) -> None:
    outcome = start(folder, "modules").wait()
    assert isinstance(outcome, Done)
    assert not {"torch", "numpy", "pandas", "sqlite_utils", "PySide6", "lightning", "sklearn"} & set(outcome.result)


def test_a_job_looks_for_garbage_seldom(folder: Path) -> None:
    outcome = start(folder, "remember").wait()
    assert isinstance(outcome, Done)
    assert 1 <= outcome.result <= 20


def test_a_secret_reaches_the_job_and_neither_its_command_line_nor_its_request(folder: Path) -> None:
    with start_job(folder, TinyJob("secret"), secrets={"passphrase": "open sesame"}, command=COMMAND) as process:
        outcome = process.wait()
    assert outcome == Done(["open sesame", False, "TinyJob(what='secret', steps=3, pause_s=0.0)"])
    missing = start(folder, "secret").wait()
    assert isinstance(missing, Failed)
    assert "needs the secret 'passphrase'" in missing.error


def test_a_folder_that_is_no_project_is_a_failure_with_advice(tmp_path: Path) -> None:
    outcome = start(tmp_path, "count").wait()
    assert isinstance(outcome, Failed)
    assert "no project" in outcome.error
    assert outcome.advice


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from desktop_app.jobs.events import Message
from desktop_app.jobs.process import start_job
from tests.desktop_app.jobs.tiny_jobs import COMMAND, TinyJob
from tests.simulators.waiting import PROMPT_S
process = start_job(Path(sys.argv[1]), TinyJob("family"), command=COMMAND)
for event in process:
    if isinstance(event, Message):
        print(process.pid, event.text, flush=True)
"""


def test_a_child_and_all_it_started_end_when_their_parent_is_killed(folder: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, folder, ROOT], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: all(is_gone(pid) for pid in pids))


@pytest.mark.parametrize("request_line", [b"", b"not json\n", b'{"project":"x"}\n', b'{"project":"x","job":{"job":"dance"}}\n'])
def test_a_broken_request_is_answered_with_one_failure(request_line: bytes) -> None:
    done = subprocess.run([sys.executable, "-m", "desktop_app.jobs.child"], input=request_line, capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert done.stdout.startswith(b'{"event":"failed","error":"the job\'s request')
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""
