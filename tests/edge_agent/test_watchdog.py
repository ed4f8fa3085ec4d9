"""What systemd hears: READY once a worker answers, WATCHDOG only while work gets done; through a real datagram socket."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.running_agent import prepare_home
from contract.package import Package
from edge_agent import systemd
from edge_agent.home import make_home
from edge_agent.watchdog import Watchdog
from edge_agent.worker_keeper import WorkerKeeper
from tests.edge_agent.test_worker_keeper import kept
from tests.simulators.agents import AgentProcess


@pytest.fixture
def datagrams(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path_factory.mktemp("n") / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(15)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


def received(datagrams: socket.socket) -> list[str]:
    datagrams.setblocking(False)
    found = []
    try:
        while True:
            found += datagrams.recv(4096).decode().splitlines()
    except BlockingIOError:
        return found


class Slot:
    """A slot that is as the test says."""

    def __init__(self, *, wants: bool = True, answering: bool = True, cared_for: bool = True, probed: str = "") -> None:
        self.wants_to_serve, self.is_answering, self.is_cared_for = wants, answering, cared_for
        self.completed, self.probes, self._probed = 0, 0, probed

    async def probe(self, timeout_s: float) -> str:
        self.probes += 1
        return self._probed


@pytest.mark.parametrize(
    ("slots", "fed", "probes"),
    [
        ([], True, 0),
        ([Slot(wants=False, answering=False, cared_for=False)], True, 0),
        ([Slot()], True, 1),
        ([Slot(answering=False)], True, 0),
        ([Slot(cared_for=False)], False, 0),
        ([Slot(answering=False, cared_for=False)], False, 0),
        ([Slot(probed="the worker gave no answer")], False, 1),
        ([Slot(), Slot(probed="the worker gave no answer")], False, 2),
    ],
)
def test_the_watchdog_is_fed_while_every_slot_shows_life(slots: list[Slot], fed: bool, probes: int) -> None:
    said: list[str] = []
    assert asyncio.run(Watchdog(lambda: slots, 1.0, said.append).look()) is fed
    assert said == ["WATCHDOG=1"] * fed
    assert sum(slot.probes for slot in slots) == probes


def test_completed_work_is_enough_and_only_idleness_costs_a_golden_sample() -> None:
    slot = Slot()

    async def story() -> list[int]:
        watchdog, probes = Watchdog(lambda: [slot], 1.0, lambda _: None), []
        for worked in (0, 5, 0, 1):
            slot.completed += worked
            await watchdog.look()
            probes.append(slot.probes)
        return probes

    assert asyncio.run(story()) == [1, 1, 2, 2]


def test_an_idle_worker_feeds_it_with_a_golden_sample_and_one_that_nobody_cares_for_does_not(
    package: Package, datagrams: socket.socket
) -> None:
    async def story(keeper: WorkerKeeper, port: int, crashes: list[str]) -> None:
        watchdog = Watchdog(lambda: [keeper], 0.2)
        assert await watchdog.look()
        assert keeper.completed == 1, "the golden sample went through the worker"
        assert received(datagrams) == ["WATCHDOG=1"]
        assert keeper._guard is not None and keeper.pid is not None  # noqa: PT018  (narrows the types)
        os.kill(keeper.pid, signal.SIGSTOP)
        keeper._guard.cancel()  # as if the keeper had failed: nobody finds the hang but the watchdog
        keeper._guard = asyncio.create_task(asyncio.sleep(60))  # type: ignore[arg-type]
        assert not await watchdog.look()
        assert received(datagrams) == []
        keeper._guard.cancel()
        os.kill(keeper.pid, signal.SIGCONT)

    kept(package, story)


def test_an_agent_is_ready_once_its_worker_answers_and_is_then_watched(
    package: Package, tmp_path: Path, datagrams: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    home = prepare_home(tmp_path / "home", package, "onnx-float32")
    agent = AgentProcess(home.folder)
    try:
        agent.start()
        said = datagrams.recv(4096).decode()
        assert said.startswith("STATUS=starting the worker of slot main\nEXTEND_TIMEOUT_USEC=")
        assert datagrams.recv(4096).decode() == "READY=1\nSTATUS=main: digits 1 serves"
        assert [datagrams.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        assert agent.process is not None
        agent.process.send_signal(signal.SIGTERM)
        while datagrams.recv(100) != b"STOPPING=1":  # nobody may leave its queue full
            pass
        assert agent.wait(20) == 0
    finally:
        agent.kill()


def test_an_agent_without_a_model_is_ready_at_once(tmp_path: Path, datagrams: socket.socket) -> None:
    with AgentProcess(make_home(tmp_path / "home").folder):
        datagrams.recv(4096)
        assert datagrams.recv(4096).decode() == "READY=1\nSTATUS=main: no model is installed"


def test_a_terminal_that_is_closed_ends_the_agent_in_order(tmp_path: Path) -> None:
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        pytest.skip("these tests ignore SIGHUP, and so does what they start")
    with AgentProcess(make_home(tmp_path / "home").folder) as agent:
        assert agent.process is not None
        agent.process.send_signal(signal.SIGHUP)
        assert agent.wait(60) == 0
        assert not (agent.home / "run" / "endpoint.json").exists()


def test_no_socket_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")
