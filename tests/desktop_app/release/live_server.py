"""A real fleet server in a process of its own, or its application alone in this one."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from desktop_app.release.server_client import ServerClient
from fleet_server.api.application import build_application
from fleet_server.api.floor import Floor
from fleet_server.devices.credentials import Credentials
from fleet_server.samples.sample_files import SampleFiles
from fleet_server.store.artifacts import ArtifactStore
from fleet_server.store.database import Database
from fleet_server.times import system_clock
from fleet_server.trust.server_keys import open_server_keys
from tests.fleet_server.conftest import TOKEN, AppTransport

START_TIMEOUT_S = 30


class LiveServer(NamedTuple):
    url: str
    token: str
    token_file: Path
    data: Path


@contextlib.contextmanager
def server_in_process(data: Path) -> Iterator[ServerClient]:
    """A client of a server over `data` without sockets, broker or tasks: quick to stop and to start again."""
    with Database(data / "fleet.sqlite") as database, asyncio.Runner() as runner:
        floor = Floor(
            database=database,
            artifacts=ArtifactStore(data / "artifacts"),
            samples=SampleFiles(data / "samples"),
            credentials=Credentials(database),
            keys=open_server_keys(data / "keys"),
            fleet="demo",
            operator_token=TOKEN,
            clock=system_clock,
            mqtt_url=lambda: "mqtt://127.0.0.1:1",
        )
        with ServerClient("http://127.0.0.1", TOKEN, transport=AppTransport(build_application(floor), runner)) as client:
            yield client


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
