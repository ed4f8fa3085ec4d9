"""Load and unload over HTTP: a real agent with an unmodified tritonclient, and what is refused."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import urllib3

from contract.messages import VersionRef
from contract.package import Package
from contract.signing import PrivateKey
from contract.states import FailureReason
from edge_agent.home import Home, make_home
from edge_agent.memory import Memory
from edge_agent.model_loading import LoadError, ModelLoading
from edge_agent.settings import Settings
from edge_agent.status import read_status
from edge_agent.update.records import Installed, Quarantined
from edge_agent.update.slots import CURRENT, LAST_KNOWN_GOOD, SlotStore
from edge_agent.update.tools import Tools
from edge_agent.update.work_time import Turn
from edge_agent.worker.messages import RepositoryAsked
from edge_agent.worker_keeper import KeeperSettings, Serving, WorkerKeeper
from tests.edge_agent.test_fleet_updates import PNG
from tests.simulators.agents import AgentProcess
from tests.simulators.children import children_of
from tests.simulators.packages import make_package
from tests.simulators.waiting import wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    triton = pytest.importorskip("tritonclient.http")

VARIANT = "onnx-float32"


def install(home: Home, slot: str, package: Package) -> Installed:
    """Put a version where an update would have put it."""
    shutil.copytree(package.folder, home.versions / package.digest)
    manifest = package.manifest
    installed = Installed(VersionRef(manifest.name, manifest.version, package.digest), VARIANT)
    for pointer in (CURRENT, LAST_KNOWN_GOOD):
        SlotStore(home).point(slot, pointer, installed)
    return installed


@pytest.fixture
def home(tmp_path: Path, key: PrivateKey) -> Home:
    """An agent that runs version 1 in its main slot and version 2 in another."""
    home = make_home(tmp_path / "home")
    install(home, "main", make_package(tmp_path / "1", key=key, version=1))
    install(home, "other", make_package(tmp_path / "2", key=key, version=2))
    return home


@pytest.fixture
def agent(home: Home) -> Iterator[AgentProcess]:
    (home.folder / "config.json").write_text('{"http_load_unload": true}', encoding="utf-8")
    with AgentProcess(home.folder) as running:
        yield running


def post(agent: AgentProcess, verb: str, parameters: dict[str, object] | None = None) -> tuple[int, str]:
    body = b"" if parameters is None else json.dumps({"parameters": parameters}).encode()
    url = f"{agent.endpoint['url']}/v2/repository/models/digits/{verb}"
    answer = urllib3.request("POST", url, body=body, retries=False, timeout=60.0, headers={"Connection": "close"})
    return answer.status, answer.data.decode()


def test_an_unloaded_model_answers_503_until_it_is_loaded_again(agent: AgentProcess, home: Home) -> None:
    assert agent.process is not None
    with contextlib.closing(triton.InferenceServerClient(agent.endpoint["url"].removeprefix("http://"))) as client:
        client.unload_model("digits")
        client.unload_model("digits")
        assert not client.is_model_ready("digits")
        assert client.is_server_live()
        assert [(entry["state"], entry["reason"]) for entry in client.get_model_repository_index()] == [("UNAVAILABLE", "unloaded")]
        with pytest.raises(AssertionError, match="is unloaded"):
            agent.answers(PNG)
    wait_until(lambda: "unloaded over HTTP" in str(getattr(read_status(home.status), "findings", "")), 20, agent.read_log)

    for pid in (worker := children_of(agent.process.pid, "edge_agent.worker.main")):
        os.kill(pid, signal.SIGKILL)  # another comes, and it knows
    wait_until(lambda: len(set(children_of(agent.process.pid, "edge_agent.worker.main")) - set(worker)) == 2, 30, agent.read_log)
    wait_until(lambda: state_of(agent) == 503, 30, agent.read_log)

    with contextlib.closing(triton.InferenceServerClient(agent.endpoint["url"].removeprefix("http://"))) as client:
        client.load_model("digits")
        client.load_model("digits")
    assert agent.answers(PNG)["model_version"] == "1"
    assert "Traceback" not in agent.read_log()


def state_of(agent: AgentProcess) -> int:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        url = f"{agent.endpoint['url']}/v2/models/digits/ready"
        return urllib3.request("GET", url, retries=False, timeout=5.0, headers={"Connection": "close"}).status
    return 0


def test_another_version_of_this_device_is_loaded_until_the_next_start(agent: AgentProcess, home: Home) -> None:
    pointers = [path.read_bytes() for path in sorted(home.slots.rglob("*.json"))]
    assert post(agent, "load", {"version": 2}) == (200, "")
    assert agent.answers(PNG)["model_version"] == "2"
    assert [path.read_bytes() for path in sorted(home.slots.rglob("*.json"))] == pointers
    state, words = post(agent, "load", {"version": 3})
    assert (state, "is not installed" in words) == (404, True)
    state, words = post(agent, "load", {"config": "{}"})
    assert (state, "signed version" in words) == (400, True)
    assert agent.stop() == 0
    agent.start()
    assert agent.answers(PNG)["model_version"] == "1"


class Slot(NamedTuple):
    """A slot, as far as loading asks it."""

    name: str
    keeper: WorkerKeeper
    home: Home
    is_settled: bool = True

    def as_serving(self, installed: Installed) -> Serving:
        return Serving(installed, self.home.versions / installed.model.digest)


def loading(home: Home, *, is_settled: bool = True, allowed: bool = True) -> tuple[ModelLoading, WorkerKeeper, Tools]:
    settings = Settings(http_load_unload=allowed)
    tools = Tools(home, SlotStore(home), Memory(home.state / "memory.json"), settings, Turn(), None, None)
    keeper = WorkerKeeper(KeeperSettings("main", (), home.data), lambda *_: None, lambda _: None)
    return ModelLoading(Slot("main", keeper, home, is_settled), tools, lambda *_: None), keeper, tools


def refused(home: Home, asked: RepositoryAsked, **how: bool) -> tuple[int, str]:
    one, _, _ = loading(home, **how)
    with pytest.raises(LoadError) as caught:
        asyncio.run(one._load(asked) if asked.load else one._unload(asked))
    return caught.value.state, str(caught.value)


LOAD, UNLOAD = RepositoryAsked(1, load=True, model="digits"), RepositoryAsked(1, load=False, model="digits")


@pytest.mark.parametrize("asked", [LOAD, UNLOAD])
def test_an_update_under_way_comes_first(home: Home, asked: RepositoryAsked) -> None:
    assert refused(home, asked, is_settled=False)[0] == 409


@pytest.mark.parametrize("asked", [LOAD, UNLOAD])
def test_the_supervisor_refuses_whatever_a_worker_asks_where_it_is_off(home: Home, asked: RepositoryAsked) -> None:
    assert refused(home, asked, allowed=False)[0] == 403


def test_a_quarantined_version_is_never_loaded(home: Home) -> None:
    store = SlotStore(home)
    installed = store.pointer("other", CURRENT)
    assert installed is not None
    store.save_quarantine({installed.model.digest: Quarantined(1, FailureReason.GOLDEN_MISMATCH)})
    state, words = refused(home, RepositoryAsked(1, load=True, model="digits", version=2))
    assert (state, "quarantined" in words) == (403, True)


def test_a_damaged_version_is_never_loaded(home: Home) -> None:
    installed = SlotStore(home).pointer("main", CURRENT)
    assert installed is not None
    model = next((home.versions / installed.model.digest).glob("*.onnx"))
    model.write_bytes(model.read_bytes() + b"x")
    state, words = refused(home, LOAD)
    assert (state, "damaged" in words) == (409, True)


@pytest.mark.parametrize(
    "asked",
    [
        RepositoryAsked(1, load=True, model="letters"),
        RepositoryAsked(1, load=True, model="digits", digest="0" * 64),
        RepositoryAsked(1, load=False, model="digits"),
    ],
)
def test_what_is_not_here_is_not_found(home: Home, asked: RepositoryAsked) -> None:
    assert refused(home, asked)[0] == 404


def test_an_update_that_begins_ends_a_load_and_leaves_what_was(home: Home) -> None:
    async def story() -> None:
        one, keeper, _ = loading(home)
        keeper.unloaded = True
        task = asyncio.create_task(one._load(LOAD))
        for _ in range(10_000):
            await asyncio.sleep(0.001)
            if not keeper.unloaded:  # its worker is being started
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert keeper.serving is None
        assert keeper.unloaded
        await keeper.stop()

    asyncio.run(story())
