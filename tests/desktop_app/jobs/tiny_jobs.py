"""A tiny job for tests, and a child process that knows it: `python tests/desktop_app/jobs/tiny_jobs.py`."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

from desktop_app.data.project import Project
from desktop_app.errors import DataError
from desktop_app.jobs import child
from desktop_app.jobs.context import JobContext
from desktop_app.jobs.requests import JOBS, Job

COMMAND = [sys.executable, __file__]


class TinyJob(Job, frozen=True, tag="tiny"):
    """Do one of the things below."""

    what: str
    steps: int = 3
    pause_s: float = 0.0


def run_tiny_job(project: Project, job: TinyJob, context: JobContext) -> object:
    return globals()[f"do_{job.what}"](project, job, context)


def do_count(project: Project, job: TinyJob, context: JobContext) -> dict[str, object]:
    for step in range(job.steps):
        context.check_cancelled()
        context.progress(step + 1, job.steps, "steps", "counting")
        time.sleep(job.pause_s)
    context.metric("loss", 0.25, epoch=1, split="train")
    context.metric("loss", float("nan"))
    return {"counted": job.steps, "name": project.name, "folder": project.folder}


def do_stubborn(_project: Project, _job: TinyJob, context: JobContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.message("I will not stop")
    time.sleep(600)


def do_refuse(_project: Project, _job: TinyJob, _context: JobContext) -> None:
    raise DataError("the data are upside down", "Turn them round.")


def do_break(_project: Project, _job: TinyJob, _context: JobContext) -> None:
    raise ZeroDivisionError("seven by nothing")


def do_die(_project: Project, _job: TinyJob, _context: JobContext) -> None:
    print("last words", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def do_exit(_project: Project, _job: TinyJob, _context: JobContext) -> None:
    os._exit(3)


def do_noise(_project: Project, _job: TinyJob, context: JobContext) -> str:
    print("printed by a library")
    os.write(1, b'{"event":"done","result":"forged"}\n')
    subprocess.run([sys.executable, "-c", "print('printed by a process'); import sys; sys.stdin.read()"], check=True)
    context.message("quiet\nagain")
    return "real"


def do_family(_project: Project, _job: TinyJob, context: JobContext) -> None:
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    context.message(str(grandchild.pid))
    while True:
        context.check_cancelled()
        time.sleep(0.02)


def do_leave(_project: Project, _job: TinyJob, context: JobContext) -> None:
    context.message(str(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid))


def do_remember(_project: Project, _job: TinyJob, _context: JobContext) -> int:
    """How often garbage is looked for while a hundred thousand objects are made that all stay."""
    before = [stage["collections"] for stage in gc.get_stats()]
    kept = [[] for _ in range(100_000)]
    after = [stage["collections"] for stage in gc.get_stats()]
    assert kept
    return sum(after) - sum(before)


def do_modules(_project: Project, _job: TinyJob, _context: JobContext) -> list[str]:
    return sorted({name.split(".")[0] for name in sys.modules})


def do_secret(_project: Project, job: TinyJob, context: JobContext) -> list[object]:
    command_line = Path(f"/proc/{os.getpid()}/cmdline").read_bytes() + Path(f"/proc/{os.getpid()}/environ").read_bytes()
    return [context.secret("passphrase"), context.secret("passphrase").encode() in command_line, repr(job)]


if __name__ == "__main__":
    JOBS[TinyJob] = "__main__:run_tiny_job"
    sys.exit(child.main())
