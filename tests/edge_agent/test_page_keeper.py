"""While no model serves somebody still answers: a real agent with nothing installed, then with its first model."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import urllib3
from click.testing import CliRunner

from contract.package import Package
from contract.signing import PrivateKey, public_key_to_bytes
from edge_agent.cli import agent as commands
from edge_agent.home import Home, make_home
from edge_agent.page_keeper import PATIENCE_S, PageKeeper
from edge_agent.worker.messages import WorkerRequest
from edge_agent.worker_keeper import KeeperSettings, WorkerKeeper
from tests.edge_agent.test_fleet_updates import PNG
from tests.edge_agent.test_worker_keeper import FRAME, serving_of
from tests.edge_agent.worker.test_process import listening_socket, post_image
from tests.simulators.agents import AgentProcess
from tests.simulators.children import children_of
from tests.simulators.packages import make_package
from tests.simulators.waiting import wait_until

PAGE = "edge_agent.serving.without_model"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


@pytest.fixture
def agent(home: Home) -> Iterator[AgentProcess]:
    with AgentProcess(home.folder) as running:
        yield running


def ask(agent: AgentProcess, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    url = f"{agent.endpoint['url']}{path}"
    answer = urllib3.request(method, url, headers={"Connection": "close", **headers}, timeout=30.0, retries=False)
    return answer.status, answer.data.decode()


def test_an_agent_without_a_model_says_so_until_it_has_one(agent: AgentProcess, home: Home, tmp_path: Path, key: PrivateKey) -> None:
    assert agent.process is not None
    assert "no model serves" in ask(agent, "/")[1]
    wait_until(lambda: "no model is installed" in ask(agent, "/")[1], 20, agent.read_log)
    assert ask(agent, "/v2/health/live")[0] == 200
    assert ask(agent, "/v2/health/ready") == (503, '{"error":"no model serves here: no model is installed"}')
    assert ask(agent, "/v2/models/digits/infer", "POST")[0] == 503
    assert ask(agent, "/", Host="evil.example")[0] == 421
    assert json.loads(ask(agent, "/", Accept="application/json")[1])["served"] is None
    (tmp_path / "key.pub.json").write_bytes(public_key_to_bytes(key.public, "digits"))
    make_package(tmp_path / "1", key=key, version=1)
    for arguments in (["trust", "add", str(tmp_path / "key.pub.json")], ["install", str(tmp_path / "1")]):
        assert CliRunner().invoke(commands, [*arguments, "--home", str(home.folder)]).exit_code == 0
    wait_until(lambda: ask(agent, "/v2/models/digits/ready")[0] == 200, 40, agent.read_log)
    wait_until(lambda: not children_of(agent.process.pid, PAGE), 20, agent.read_log)  # type: ignore[union-attr]
    assert agent.answers(PNG)["model_version"] == "1"
    assert "digits 1" in ask(agent, "/")[1]
    wait_until((home.slots / "main" / "last_known_good.json").exists, 20, agent.read_log)
    agent.kill()
    next(home.versions.rglob("*.onnx")).write_bytes(b"a card that has aged")
    agent.start()
    wait_until(lambda: "digits 1 is damaged on this disk" in ask(agent, "/v2/health/ready")[1], 20, agent.read_log)


def test_the_page_ends_with_its_agent(agent: AgentProcess) -> None:
    assert agent.process is not None
    pid = agent.process.pid
    wait_until(lambda: children_of(pid, PAGE), 20, agent.read_log)
    (page,) = children_of(pid, PAGE)
    agent.kill()
    wait_until(lambda: not psutil.pid_exists(page), 20)


def test_a_version_that_does_not_answer_for_long_leaves_its_place(home: Home) -> None:
    answering: list[bool | None] = [False, None, None, True, False]

    async def story() -> list[bool]:
        keeper = PageKeeper(WorkerRequest("", "", "", data_folder=str(home.folder)), None, lambda: answering[0])
        running = []
        for wait_s in (0.0, 0.0, PATIENCE_S + 1, 0.0, 0.0):
            keeper._answered_s -= wait_s
            await keeper._look()
            running.append(keeper._process is not None)
            answering.pop(0)
        return running

    assert asyncio.run(story()) == [False, False, True, True, False]


def test_once_a_version_serves_no_request_gets_the_page(package: Package, home: Home) -> None:
    """Both answer at the same sockets, so the page ends before the worker counts as serving."""

    async def story() -> list[int]:
        with listening_socket() as listening:
            port, sockets = listening.getsockname()[1], (listening.fileno(),)
            pages = PageKeeper(WorkerRequest("", "", "", sockets=sockets, data_folder=str(home.folder)), None, lambda: True)
            await pages._look()
            assert (await asyncio.to_thread(post_image, port, FRAME))[0] == 503
            keeper = WorkerKeeper(KeeperSettings("main", sockets, home.folder), lambda *_: None, print)
            keeper.make_way = pages.leave
            await keeper.serve(serving_of(package))
            states = [(await asyncio.to_thread(post_image, port, FRAME))[0] for _ in range(20)]
            await keeper.stop()
            return states

    assert asyncio.run(story()) == [200] * 20
