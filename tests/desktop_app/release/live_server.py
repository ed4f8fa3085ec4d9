"""A real fleet server in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

START_TIMEOUT_S = 30


class LiveServer(NamedTuple):
    url: str
    token: str
    token_file: Path
    data: Path


@contextlib.contextmanager
def running_server(data: Path) -> Iterator[LiveServer]:
    program = [sys.executable, "-c", "from fleet_server.cli import main; main()"]
    log = data.parent / f"{data.name}.log"
    arguments = ["serve", "--data", str(data), "--port", "0", "--mqtt-port", "0", "--fleet", "demo"]
    with log.open("wb") as output, subprocess.Popen([*program, *arguments], stdout=output, stderr=output, env={**os.environ}) as process:
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not (data / "server.json").is_file():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            url = json.loads((data / "server.json").read_text())["url"]
            token_file = data / "operator.token"
            yield LiveServer(url, token_file.read_text().strip(), token_file, data)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
