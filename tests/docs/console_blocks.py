"""Read the ```console blocks of a document and run them, in order, in one shell."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.simulators.ports import find_free_port

ROOT = Path(__file__).resolve().parent.parent.parent
READY = {"eyelet-fleet serve": "server/server.json", "eyelet-agent run": "device/run/endpoint.json"}
"""What a person waits for before typing on: the file that a program writes once it answers."""

PORTS = ("8470", "8471", "8480")
"""The ports that the documents name; others may use them, so the commands run on free ones."""

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DONE = re.compile(r"^<<<(\d+) (\d+)>>>$", re.MULTILINE)


class Ran(NamedTuple):
    """A command as it was typed, its exit code and what it printed (both streams)."""

    command: str
    code: int
    output: str


def read_commands(text: str) -> list[str]:
    """Every command of the console blocks: a line after `$ `, with the lines after `> ` that continue it."""
    commands: list[str] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append(line[2:])
            elif line.startswith("> "):
                commands[-1] += "\n" + line[2:]
    return commands


def replace_outputs(text: str, outputs: Sequence[str]) -> str:
    """The document with what each command printed, in order, put under it."""
    waiting = iter(outputs)

    def rewrite(found: re.Match[str]) -> str:
        lines: list[str] = []
        for line in found[1].splitlines():
            if line.startswith("$ ") and lines:
                lines += next(waiting).splitlines()
            lines += [line] if line.startswith(("$ ", "> ")) else []
        lines += next(waiting).splitlines()
        return "```console\n" + "\n".join(lines) + "\n```"

    return _BLOCK.sub(rewrite, text)


def run_commands(commands: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float) -> list[Ran]:
    """Run the commands in one bash below `folder`, stop at the first that fails, and leave no process behind.

    Raises:
        subprocess.TimeoutExpired: they took longer than `timeout_s`.
    """
    ports = find_free_ports()
    parts = [_step(number, exchange(command, ports)) for number, command in enumerate(commands)]
    full = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **environment}
    with (folder / "console.log").open("w+b") as log:
        # a file, not a pipe: a program left in the background would hold a pipe open
        shell = subprocess.Popen(
            ["bash", "-c", "\n".join(parts)], cwd=folder, env=full, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            shell.wait(timeout_s)
        finally:
            _end_group(shell)
        log.seek(0)
        shown = exchange(log.read().decode(errors="replace"), {free: port for port, free in ports.items()})
        return _split(commands, shown)


def find_free_ports() -> dict[str, str]:
    """A free port for each of `PORTS`."""
    found: set[int] = set()
    while len(found) < len(PORTS):
        found.add(find_free_port())
    return {port: str(free) for port, free in zip(PORTS, sorted(found), strict=True)}


def exchange(text: str, ports: Mapping[str, str]) -> str:
    """`text` with other ports."""
    for port, other in ports.items():
        text = re.sub(rf"\b{port}\b", other, text)
    return text


def _step(number: int, command: str) -> str:
    waiting = ""
    if command.endswith("&"):
        ready = next(path for program, path in READY.items() if command.startswith(program))
        waiting = f"\nfor _ in $(seq 300); do [ -e {ready} ] && break; sleep 0.1; done; [ -e {ready} ]"
    return f'{command}{waiting}\ncode=$?; printf "\\n<<<{number} $code>>>\\n"; [ $code = 0 ] || exit $code'


def _end_group(shell: subprocess.Popen[bytes]) -> None:
    """The shell leads its own session, so its process group is everything that it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(shell.pid, sign)
        except (ProcessLookupError, PermissionError):
            return
        try:
            shell.wait(5)
        except subprocess.TimeoutExpired:
            continue


def _split(commands: Sequence[str], text: str) -> list[Ran]:
    ran, begin = [], 0
    for found in _DONE.finditer(text):
        ran.append(Ran(commands[int(found[1])], int(found[2]), text[begin : found.start()].strip("\n")))
        begin = found.end()
    return ran
