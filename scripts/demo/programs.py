"""Running the project's commands as child processes, and ending every one of them whatever happens."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


class StepError(Exception):
    """A step of the demonstration did not hold; the message says what was expected and what came."""


class Programs:
    """Starts commands with one environment and remembers those that run on.

    Long-running programs get a process group of their own, so that Ctrl-C reaches this program
    first, which then ends them in the right order.
    """

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        """`logs` gets one file per command."""
        self.logs = logs
        self.environment = {**os.environ, **environment}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def command(self, program: str, *arguments: object) -> list[str]:
        """The argument list of a console script."""
        return [str(BIN / program), *(str(argument) for argument in arguments)]

    def run(self, program: str, *arguments: object, on_line: Callable[[str], None] | None = None, timeout_s: float = 240) -> str:
        """Run a command to its end; its standard output is returned, its standard error goes line by line to `on_line`.

        Raises:
            StepError: it did not end with exit code 0, or not in time.
        """
        command = self.command(program, *arguments)
        process = subprocess.Popen(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        name = f"command-{process.pid}"
        self.running[name] = process  # type: ignore[assignment]
        try:
            output, errors = _collect(process, on_line, timeout_s)
        finally:
            self.end(name)
        with (self.logs / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{errors}{output}\n")
        if process.returncode:
            raise StepError(f"`{program} {' '.join(str(a) for a in arguments)}` ended with {process.returncode}: {errors.strip()[-1200:]}")
        return output

    def run_json(self, program: str, *arguments: object, on_line: Callable[[str], None] | None = None, timeout_s: float = 240) -> Any:  # noqa: ANN401
        """Run a command with --json and decode what it prints."""
        text = self.run(program, *arguments, "--json", on_line=on_line, timeout_s=timeout_s)
        try:
            return json.loads(text)
        except ValueError as error:
            raise StepError(f"`{program} {arguments[0]}` printed no JSON: {text[:300]!r}") from error

    def start(self, name: str, program: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Start a program that runs on; what it prints is appended to `<name>.log`."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(program, *arguments),
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.running[name] = process
        return process

    def end(self, name: str, sign: int = signal.SIGTERM, grace_s: float = 10) -> None:
        """End a program and all of its children; returns when it is gone."""
        process = self.running.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign) if sign == signal.SIGKILL else process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill(self, name: str) -> None:
        """SIGKILL to the program alone, as a power cut of that process."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def end_all(self) -> None:
        """End everything that runs, agents before the server."""
        for name in sorted(self.running, key=lambda n: n == "server"):
            self.end(name)

    def tail(self, name: str, characters: int = 1500) -> str:
        """The end of a program's log."""
        with contextlib.suppress(OSError):
            return (self.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-characters:]
        return ""


def _collect(process: "subprocess.Popen[str]", on_line: Callable[[str], None] | None, timeout_s: float) -> tuple[str, str]:
    import threading

    output: list[str] = []
    errors: list[str] = []

    def read_errors() -> None:
        for line in process.stderr or ():
            errors.append(line)
            if on_line:
                on_line(line.rstrip("\n"))

    readers = [
        threading.Thread(target=lambda: output.extend(process.stdout or ()), daemon=True),
        threading.Thread(target=read_errors, daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired as error:
        raise StepError(f"a command took more than {timeout_s:.0f} s: {''.join(errors)[-400:]}") from error
    for reader in readers:
        reader.join(5)
    return "".join(output), "".join(errors)


def wait_for(what: str, ready: Callable[[], Any], timeout_s: float, every_s: float = 0.2) -> Any:  # noqa: ANN401
    """Ask `ready` until it answers with something true, and return that.

    Raises:
        StepError: not within `timeout_s`.
    """
    for answer in polled(ready, timeout_s, every_s):
        if answer:
            return answer
    raise StepError(f"waited {timeout_s:.0f} s for {what}, in vain")


def polled(ask: Callable[[], Any], timeout_s: float, every_s: float = 0.2) -> Iterator[Any]:
    """What `ask` answers, again and again, until the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        yield ask()
        if time.monotonic() > deadline:
            return
        time.sleep(every_s)
