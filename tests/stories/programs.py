"""The programs as a user starts them: one folder, one environment, and an end for every process whatever happens."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil

BIN = Path(sys.executable).parent
MARK = "EYELET_STORY"  # an environment variable that every process of a story inherits, whatever session it makes for itself
PASSPHRASE = "three plain words"


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Programs:
    """Runs and starts the console scripts in `folder`, as a context manager that leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project, self.keys = folder / "project", folder / "keys"
        self.environment = {
            **os.environ,
            MARK: str(folder),
            "EYELET_PROJECT": str(self.project),
            "EYELET_KEYS": str(self.keys),
            "EYELET_AGENT_HOME": str(folder / "home"),
            "EYELET_PASSPHRASE": PASSPHRASE,
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Programs":  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()

    def run(self, program: str, *arguments: object, before: tuple[str, ...] = (), timeout_s: float = 120) -> Ran:
        """Run a command to its end, whichever that is; `before` is a command line that starts it."""
        command = [*before, *command_line(program, *arguments)]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.end_all()
            out, err = process.communicate()
            raise AssertionError(f"{command} took more than {timeout_s} s: {err[-2000:]}") from None
        return Ran(process.returncode, out, err)

    def succeed(self, program: str, *arguments: object) -> Ran:
        """Run a command that must end with exit code 0."""
        ran = self.run(program, *arguments)
        assert ran.code == 0, f"{program} {arguments} ended with {ran.code}: {ran.err[-3000:]}"
        assert "Traceback" not in ran.err, ran.err
        return ran

    def studio(self, *arguments: object) -> Any:
        """What a verb of the studio prints with --json."""
        return self.succeed("eyelet-studio", *arguments, "--json").json

    def start(self, name: str, program: str, *arguments: object) -> "subprocess.Popen[bytes]":
        """Start a program that runs on; what it prints is appended to `<name>.log`."""
        with self.log_path(name).open("ab") as log:
            process = subprocess.Popen(
                command_line(program, *arguments),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started[name] = process
        return process

    def log_path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def log(self, name: str) -> str:
        path = self.log_path(name)
        return path.read_text(errors="replace")[-6000:] if path.exists() else ""

    def press_ctrl_c(self, name: str) -> int:
        """SIGINT to the foreground process group, as a terminal sends it; returns the exit code."""
        process = self.started.pop(name)
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(20)
        finally:
            process.kill()

    def kill(self, name: str) -> None:
        """SIGKILL to a program alone, as where its power is cut."""
        process = self.started.pop(name)
        process.kill()
        process.wait(10)

    def end(self, name: str) -> int:
        """SIGTERM; returns the exit code."""
        process = self.started.pop(name)
        process.terminate()
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)

    def alive(self) -> list[str]:
        """The command lines of all processes that stem from this story and still run."""
        return [" ".join(process.cmdline()) for process in self._marked()]

    def _marked(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(self.folder):
                    yield process

    def end_all(self) -> None:
        """End everything, the server last, then whatever is left."""
        for name in sorted(self.started, key=lambda name: name == "server"):
            self.end(name)
        for left in list(self._marked()):
            with contextlib.suppress(psutil.Error):
                left.kill()


def command_line(program: str, *arguments: object) -> list[str]:
    """The argument list of a console script, or of a module where `program` begins with `-m `."""
    name = [sys.executable, "-m", program[3:]] if program.startswith("-m ") else [str(BIN / program)]
    return [*name, *(str(argument) for argument in arguments)]


def assert_refused(ran: Ran, *words: str) -> None:
    """A refusal is one sentence on stderr, exit code 1, and says why."""
    assert ran.code == 1, (ran.code, ran.out, ran.err)
    assert "Traceback" not in ran.err, ran.err
    last = ran.err.strip()
    assert "Error: " in last, ran
    for word in words:
        assert word in last, (word, last)


def wait_for(what: str, ready: Callable[[], Any], timeout_s: float = 60.0, explain: Callable[[], str] = lambda: "") -> Any:
    """Ask until the answer is true, and return it; a deadline, never a fixed sleep. What takes long is asked for less often."""
    begun = time.monotonic()
    while not (answer := ready()):
        waited_s = time.monotonic() - begun
        assert waited_s < timeout_s, f"waited {timeout_s} s for {what}, in vain. {explain()}"
        time.sleep(min(0.1, 0.02 + waited_s / 20))
    return answer
