"""Commands carried out by a real agent process, asked over a real broker by a simulated fleet."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from contract.application import Application, Source
from contract.commands import Command, CommandResult
from contract.signing import PrivateKey, generate_key
from contract.states import UpdateState
from edge_agent.capture.store import list_samples
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.test_fleet_updates import PNG
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import QUICK, FleetSimulator
from tests.simulators.packages import make_frames, make_package
from tests.simulators.waiting import wait_until

DEVICE = "pi-01"
AGAIN_S = 0.5


class Site(NamedTuple):
    """A fleet and a device that runs an application on a folder of images, and may keep samples."""

    fleet: FleetSimulator
    agent: AgentProcess
    home: Path
    key: PrivateKey

    def ask(self, kind: str, **options: object) -> CommandResult:
        return self.insist(self.fleet.command(DEVICE, kind, **options))

    def insist(self, command: Command, results: int = 1) -> CommandResult:
        """The newest result once there are so many; sent again and again, as a server does at each hello."""
        sent_s = time.monotonic()

        def is_answered() -> bool:
            nonlocal sent_s
            if time.monotonic() - sent_s > AGAIN_S:
                sent_s = time.monotonic()
                self.fleet.command(DEVICE, command.kind, command_id=command.command_id, **command.options)
            return len(self.fleet.results_of(command)) >= results

        wait_until(is_answered, 30, lambda: str(self.fleet.results))
        return self.fleet.results_of(command)[-1]


def write_pictures(folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    for index, frame in enumerate(make_frames(6, 0)[0]):
        Image.fromarray(frame).save(folder / f"{index}.png")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    write_pictures(folder / "pictures")
    with FleetSimulator(folder / "fleet") as fleet:
        home = make_home(folder / "home").folder
        (home / "config.json").write_text(json.dumps({"capture_samples": True}))
        enrol(make_home(home), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        key = generate_key()
        fleet.publish(make_package(folder / "1", key=key, version=1))
        options = {"path": str(folder / "pictures"), "per_second": 20.0}
        fleet.publish_application(Application(1, "door", 1, "digits", Source("folder", options), ()))
        with AgentProcess(home) as agent:
            update = fleet.wait_for_final(fleet.wish(DEVICE, "digits", 1, application=("door", 1)))
            assert update.state is UpdateState.DONE, update
            yield Site(fleet, agent, home, key)


@pytest.mark.once
def test_a_report_is_sent(site: Site) -> None:
    site.fleet.reported.clear()
    assert site.ask("report").ok
    wait_until(lambda: DEVICE in site.fleet.reported, 20)


@pytest.mark.once
def test_a_measurement_comes_back_as_numbers(site: Site) -> None:
    result = site.ask("benchmark")
    assert result.ok, result
    (row,) = result.data["rows"]
    assert (row["variant"], row["threads"]) == ("onnx-float32", 1)
    assert 0 < row["latency_p50_ms"] <= row["latency_p95_ms"]
    assert "digits 1: onnx-float32, 1 thread" in result.text
    assert "not installed" in site.ask("benchmark", digest="0" * 64).text
    assert "no slot" in site.ask("benchmark", slot="side").text


@pytest.mark.once
def test_a_worker_is_replaced_without_a_gap(site: Site) -> None:
    before = worker_pids(site)
    assert site.ask("restart_worker").ok
    wait_until(lambda: worker_pids(site) and not worker_pids(site) & before, 20)
    assert site.agent.answers(PNG)["model_version"] == "1"


def worker_pids(site: Site) -> set[int]:
    found = set()
    for child in psutil.Process(site.agent.process.pid).children():  # type: ignore[union-attr]
        with contextlib.suppress(psutil.Error):  # it ends just now
            if "edge_agent.worker.main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def test_samples_are_kept_for_a_while_because_the_operator_asked(site: Site) -> None:
    captured = site.home / "captured" / "main"
    result = site.ask("capture_samples", for_s=120, share=1.0)
    assert result.ok, result
    assert "120 an hour" in result.text
    wait_until(lambda: len(list_samples(captured)) >= 2, 20)
    assert {kept.line.reason for kept in list_samples(captured)} == {"asked"}
    assert "no slot" in site.ask("capture_samples", slot="side").text


@pytest.mark.once
def test_the_same_command_after_a_kill_is_answered_and_not_done_again(site: Site) -> None:
    command = site.fleet.command(DEVICE, "restart_worker")
    first = site.insist(command)
    site.agent.kill()
    site.agent.start()
    before = worker_pids(site)
    again = site.insist(command, len(site.fleet.results_of(command)) + 1)
    assert (again.ok, again.text) == (first.ok, first.text)
    assert worker_pids(site) == before


@pytest.mark.once
def test_an_update_under_way_is_not_disturbed(site: Site) -> None:
    if ("digits", 2) not in site.fleet.models:
        site.fleet.publish(make_package(site.home.parent / "2", key=site.key, version=2))
    patient = msgspec.structs.replace(QUICK, probation_s=3600.0)
    revision = site.fleet.wish(DEVICE, "digits", 2, application=("door", 1), policy=patient)
    wait_until(lambda: UpdateState.PROBATION in [update.state for update in site.fleet.updates(revision)], 30)
    for kind in ("benchmark", "restart_worker"):
        result = site.ask(kind)
        assert (result.ok, "an update is under way" in result.text) == (False, True), result
    site.fleet.wait_for_final(site.fleet.wish(DEVICE, "digits", 1, application=("door", 1)), 30)
    assert site.agent.answers(PNG)["model_version"] == "1"


@pytest.fixture
def forbidding(site: Site) -> Iterator[Site]:
    """The same device while its owner does not allow samples to be kept."""
    config = site.home / "config.json"
    allowing = config.read_text()
    for content in ("{}", allowing):
        site.agent.stop()
        config.write_text(content)
        site.agent.start()
        if content == "{}":
            yield site


@pytest.mark.once
def test_a_device_whose_owner_does_not_allow_it_refuses(forbidding: Site) -> None:
    for kind in ("capture_samples", "upload_samples"):
        result = forbidding.ask(kind)
        assert not result.ok
        assert "owner does not allow it: capture_samples in config.json" in result.text
