"""A server in trouble: the device waits, serves, and restarts nothing."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contract.signing import generate_key
from contract.states import UpdateState
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.fuzz.sockets import answering
from tests.edge_agent.test_fleet_updates import DEVICE, Site
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import wait_until

pytestmark = pytest.mark.once


@pytest.fixture
def datagrams(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What the agent tells systemd, which watches it closely."""
    path = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        yield listening


def heard(datagrams: socket.socket) -> list[str]:
    """All that waits, without waiting."""
    found: list[str] = []
    datagrams.setblocking(False)
    try:
        while True:
            found += datagrams.recv(4096).decode().splitlines()
    except BlockingIOError:
        return found
    finally:
        datagrams.settimeout(20)


def test_a_server_in_trouble_restarts_nothing(tmp_path: Path, datagrams: socket.socket) -> None:
    with FleetSimulator(tmp_path / "fleet") as fleet:
        enrol(make_home(tmp_path / "home"), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(tmp_path / "home") as agent:
            site = Site(fleet, agent, tmp_path, generate_key())
            first = fleet.wait_for_final(fleet.wish(DEVICE, "digits", site.publish()), 60)
            assert first.state is UpdateState.DONE, agent.read_log()
            assert agent.process is not None
            processes = [agent.process.pid, *(child.pid for child in psutil.Process(agent.process.pid).children())]
            fleet.http.statuses, asked = list(itertools.repeat(500, 1000)), len(fleet.http.requests)
            revision = fleet.wish(DEVICE, "digits", site.publish("slow"))
            wait_until(lambda: 1000 - len(fleet.http.statuses) >= 3, 30, agent.read_log)
            assert len(fleet.http.requests) - asked < 100, "it is asked again after a while, not at once"
            a_broker_that_speaks_nonsense(fleet, agent)
            heard(datagrams)
            assert [datagrams.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert processes == [agent.process.pid, *(child.pid for child in psutil.Process(agent.process.pid).children())]
            assert site.answers() == "1"
            fleet.http.statuses = []
            assert fleet.wait_for_final(revision, 60).state in {UpdateState.DONE, UpdateState.ROLLED_BACK}


def a_broker_that_speaks_nonsense(fleet: FleetSimulator, agent: AgentProcess) -> None:
    """In the place of the real one, until the agent has heard it."""
    fleet._disconnect()
    fleet.broker.close()
    with answering(fleet.broker.port) as nonsense:
        nonsense.answer = b"HTTP/1.1 500 Internal Server Error\r\n\r\n"  # type: ignore[attr-defined]
        wait_until(lambda: agent.log.read_text().count("No connection with the fleet") >= 1, 30, agent.read_log)
    fleet.broker.open()
    fleet._connect()
