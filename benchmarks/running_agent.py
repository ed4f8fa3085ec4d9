"""A real agent for the benchmarks: a version put where an update would have put it, then `eyelet-agent run`."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from contract.application import Application
from contract.codec import encode
from contract.files import sha256_of
from contract.messages import VersionRef
from contract.package import Package
from edge_agent.home import Home, make_home
from edge_agent.update.records import ApplicationRef, Installed
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore

PATIENCE_S = 30.0
WORKER = "edge_agent.worker.main"


def prepare_home(folder: Path, package: Package, variant: str, application: Application | None = None) -> Home:
    """An agent's folder in which `package` (and an application of it) is installed and committed."""
    home = make_home(folder)
    shutil.copytree(package.folder, home.versions / package.digest)
    store = SlotStore(home)
    (home.slots / "main").mkdir(exist_ok=True)
    manifest = package.manifest
    installed = Installed(VersionRef(manifest.name, manifest.version, package.digest), variant, _keep(store, application))
    for pointer in (CURRENT, LAST_KNOWN_GOOD):
        store.point("main", pointer, installed)
    return home


def _keep(store: SlotStore, application: Application | None) -> ApplicationRef | None:
    if application is None:
        return None
    data = encode(application)
    path = store.object_path(sha256_of(data))
    path.write_bytes(data)
    return ApplicationRef(application.name, application.version, path.name)


class RunningAgent:
    """A running `eyelet-agent run`; `begun_s` is the `perf_counter` of its start."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._log = (home.folder.parent / f"{home.folder.name}.log").open("wb")
        home.endpoint.unlink(missing_ok=True)
        command = [sys.executable, "-m", "edge_agent.cli", "run", "--home", str(home.folder), "--http-port", "0"]
        self.begun_s = time.perf_counter()
        self.process = subprocess.Popen(command, stderr=self._log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.endpoint: dict[str, Any] = self._wait_for_endpoint()

    def _wait_for_endpoint(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not self.home.endpoint.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the agent did not start: {Path(self._log.name).read_text()[-2000:]}")
            time.sleep(0.002)
        return dict(json.loads(self.home.endpoint.read_bytes()))

    @property
    def port(self) -> int:
        """TCP port of the endpoint."""
        return int(self.endpoint["url"].rpartition(":")[2])

    def worker(self) -> psutil.Process:
        """The process that answers; waits until there is exactly one."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            children = [child for child in psutil.Process(self.process.pid).children() if child.status() != psutil.STATUS_ZOMBIE]
            workers = [child for child in children if WORKER in child.cmdline()]
            if len(workers) == 1:
                return workers[0]
            if time.monotonic() > deadline:
                raise RuntimeError(f"the agent has {len(workers)} workers")
            time.sleep(0.01)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


@contextmanager
def running_agent(home: Home) -> Iterator[RunningAgent]:
    """Start, and end at the end."""
    agent = RunningAgent(home)
    try:
        yield agent
    finally:
        agent.close()
