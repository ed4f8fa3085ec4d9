"""A device whose disk is full or fails when the agent starts: it serves what it has and says what is wrong."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from benchmarks.running_agent import prepare_home
from contract.package import Package
from edge_agent.enrolment import enrol
from edge_agent.home import Home
from edge_agent.status import read_status
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import wait_until

DEVICE = "full-1"


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path_factory.mktemp("small") / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root may mount a small disk")
    if (answer := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"this system lets nobody mount: {answer.stderr}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetSimulator]:
    with FleetSimulator(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def home(small_disk: Path, package: Package, fleet: FleetSimulator) -> Iterator[Home]:
    """An enrolled device with a version."""
    (small_disk / "ballast").unlink(missing_ok=True)
    home = prepare_home(small_disk / "home", package, "onnx-float32")
    enrol(home, fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
    fleet.events.clear()
    yield home
    shutil.rmtree(home.folder)


def fill(folder: Path) -> None:
    """Until not a byte more goes in."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        piece = b"x" * 4096
        try:
            while file.write(piece):
                pass
        except OSError:
            return


def findings(home: Home) -> str:
    """What the agent says of itself; empty before it has said anything."""
    status = read_status(home.status)
    return str(status.findings) if status is not None else ""


def url_of(agent: AgentProcess) -> str:
    """Where it answers, from its log: the file that usually says so can not be written."""
    wait_until(lambda: "The agent answers at" in agent.read_log(), 20, agent.read_log)
    return re.findall(r"The agent answers at (\S+)", agent.read_log())[-1]


def test_an_agent_on_a_full_disk_serves_says_so_and_is_well_once_there_is_room(home: Home, fleet: FleetSimulator) -> None:
    fill(home.folder.parent)
    agent = AgentProcess(home.folder)
    agent.log = Path(fleet.http.artifacts).parent / "agent.log"  # not on the full disk
    try:
        agent.spawn()
        answer = urllib3.request("GET", f"{url_of(agent)}/v2/models/digits/ready", retries=False, timeout=10.0)
        assert answer.status == 200
        assert "the disk is full" in urllib3.request("GET", url_of(agent), retries=False, timeout=10.0).data.decode()
        wait_until(lambda: any("endpoint.json can not be written" in event.text for event in fleet.events.values()), 20, agent.read_log)
        wait_until(lambda: any("outbox" in one.text and "in memory" in one.text for one in fleet.events.values()), 20, agent.read_log)
        (home.folder.parent / "ballast").unlink()
        wait_until(home.endpoint.exists, 20, agent.read_log)
        wait_until(lambda: findings(home) and "endpoint.json" not in findings(home), 20, agent.read_log)
        assert agent.process is not None
        assert agent.process.poll() is None
        assert "Traceback" not in agent.read_log()
    finally:
        agent.kill()


def test_an_agent_whose_identity_can_not_be_read_serves_and_takes_nothing_from_the_inbox(home: Home, fleet: FleetSimulator) -> None:
    (home.identity / "password").unlink()
    (home.inbox / "0.json").write_text("{}")
    with AgentProcess(home.folder) as agent:
        assert urllib3.request("GET", f"{agent.endpoint['url']}/v2/models/digits/ready", retries=False, timeout=10.0).status == 200
        wait_until(lambda: "is damaged" in findings(home), 20, agent.read_log)
        assert (home.inbox / "0.json").exists(), "a fleet decides what runs here, be it reachable or not"
