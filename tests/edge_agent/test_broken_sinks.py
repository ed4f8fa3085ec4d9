"""A sink that breaks: a real agent says it to doctor, status page and fleet, and judges a new version by what that one broke itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import urllib3
from click.testing import CliRunner
from PIL import Image

from benchmarks.running_agent import prepare_home
from contract.application import Application, Sink, Source
from contract.messages import UpdatePolicy
from contract.package import Package
from contract.signing import PrivateKey, generate_key
from contract.states import FailureReason, UpdateState
from edge_agent.cli import agent
from edge_agent.enrolment import enrol
from edge_agent.home import Home, make_home
from tests.edge_agent.sinks.receivers import receiving
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FleetSimulator
from tests.simulators.packages import make_frames, make_package
from tests.simulators.waiting import wait_until

DEVICE = "pi-01"
LAMP = Sink("callback", {"name": "lamp"})
JSONL = Sink("jsonl", {"path": "data/seen.jsonl"})
PROBATION = UpdatePolicy(probation_s=1, probation_min_inferences=20)
SWITCH = """
from pathlib import Path

def switch(record):
    if (Path(__file__).parent.parent / "no_lamp").exists():
        raise RuntimeError("no lamp")
"""


def watch(home: Path, *sinks: Sink, version: int = 1) -> Application:
    """An application that looks at a picture fifty times a second."""
    (home / "frames").mkdir(exist_ok=True)
    Image.fromarray(make_frames(1, 0)[0][0]).save(home / "frames" / "0.png")
    source = Source("folder", {"path": "frames", "per_second": 50, "repeat": True})
    return Application(1, "watch", version, "digits", source, sinks)


def write_hook(home: Path, code: str) -> None:
    (home / "hooks").mkdir(exist_ok=True)
    (home / "hooks" / "lamp_hook.py").write_text(code)
    (home / "config.json").write_text(json.dumps({"callbacks": {"lamp": "lamp_hook:switch"}}))


def doctor(home: Home) -> list[str]:
    """What is not well, in words, with advice."""
    answer = CliRunner().invoke(agent, ["doctor", "--home", str(home.folder), "--json"])
    return [f"{one['verdict']} {one['subject']}: {one['text']} → {one['advice']}" for one in json.loads(answer.stdout)]


def page(running: AgentProcess) -> str:
    return urllib3.request("GET", f"{running.endpoint['url']}/", headers={"Connection": "close"}, retries=False).data.decode()


def metrics(running: AgentProcess) -> dict[str, float]:
    text = urllib3.request("GET", f"{running.endpoint['url']}/metrics", headers={"Connection": "close"}, retries=False).data.decode()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))}


def broken(home: Home) -> dict[str, str]:
    """What the doctor says of each broken sink."""
    found = [line for line in doctor(home) if "its sink " in line]
    return {line.split("its sink ")[1].split()[0] + " " + line.split()[0]: line for line in found}


def test_doctor_and_page_say_which_sink_is_broken_since_when_and_what_is_lost_until_it_works_again(
    package: Package, tmp_path: Path
) -> None:
    with receiving() as receiver:
        nobody = Sink("webhook", {"url": receiver.url, "queue": 100_000})
    home_folder = tmp_path / "home"
    make_home(home_folder)
    write_hook(home_folder, SWITCH)
    (home_folder / "no_lamp").touch()
    refusing = [True]
    with receiving(lambda _: (404 if refusing else 204, {})) as receiver:
        hook = Sink("webhook", {"url": receiver.url})
        home = prepare_home(home_folder, package, "onnx-float32", watch(home_folder, LAMP, hook, JSONL, nobody))
        with AgentProcess(home.folder) as running:
            found: dict[str, str] = {}
            wait_until(lambda: found.update(broken(home)) or len(found) == 3, 60, lambda: "\n".join(doctor(home)))
            lamp, web, waiting = found["callback wrong"], found["webhook wrong"], found["webhook note"]
            assert lamp.startswith("wrong Slot main: its sink callback lamp is broken since 20")
            assert "its function failed: RuntimeError: no lamp; " in lamp
            assert " records are lost → Correct the function that `callbacks` in config.json names" in lamp
            assert "its sink webhook 127.0.0.1" in web
            assert "does not want it: it answered 404; " in web
            assert "can not send since 20" in waiting
            assert "gives no answer" in waiting
            assert "record(s) wait, none is lost yet → Check the address" in waiting
            assert "its function failed: RuntimeError: no lamp" in page(running)
            assert "does not want it: it answered 404" in page(running)
            assert "records lost" in page(running)
            counted = metrics(running)
            assert counted['eyelet_records_lost_total{number="0",sink="callback lamp"}'] > 0
            assert counted['eyelet_records_lost_total{number="2",sink="jsonl data/seen.jsonl"}'] == 0
            assert counted['eyelet_records_total{number="2",sink="jsonl data/seen.jsonl"}'] > 0
            (home.folder / "no_lamp").unlink()
            refusing.clear()
            wait_until(lambda: list(broken(home)) == ["webhook note"], 60, lambda: "\n".join(doctor(home)))
            wait_until(lambda: "its function failed" not in page(running))
            assert "callback lamp: " in page(running), "what was lost stays counted"
            log = running.log.read_text()
    assert "slot main: the sink callback lamp works again; " in log
    assert 1 <= log.count("the sink callback lamp lost") < 5, "not a line for each record"


class Site(NamedTuple):
    """A fleet and its device."""

    fleet: FleetSimulator
    agent: AgentProcess
    folder: Path
    key: PrivateKey

    def publish(self, version: int) -> int:
        self.fleet.publish(make_package(self.folder / str(version), key=self.key, version=version))
        return version

    def heard(self, words: str) -> bool:
        return any(words in event.text for event in self.fleet.events.values())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with FleetSimulator(tmp_path / "fleet") as fleet:
        home = make_home(tmp_path / "home")
        enrol(home, fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        write_hook(home.folder, "def switch(record):\n    {1: 'dim', 3: 'bright'}[record.version]\n")
        with AgentProcess(home.folder) as running:
            yield Site(fleet, running, tmp_path, generate_key())


def test_a_version_whose_records_the_owners_function_can_not_take_is_rolled_back_and_network_trouble_is_no_fault(site: Site) -> None:
    fleet, home = site.fleet, site.agent.home
    with receiving() as receiver:
        url = receiver.url
    fleet.publish_application(watch(home, LAMP, JSONL))
    fleet.publish_application(watch(home, LAMP, Sink("webhook", {"url": url, "queue": 1}), version=2))
    first = fleet.wish(DEVICE, "digits", site.publish(1), application=("watch", 1), policy=PROBATION)
    assert fleet.wait_for_final(first).state is UpdateState.DONE
    patient = UpdatePolicy(probation_s=60)
    second = fleet.wait_for_final(fleet.wish(DEVICE, "digits", site.publish(2), application=("watch", 1), policy=patient))
    assert (second.state, second.reason) == (UpdateState.ROLLED_BACK, FailureReason.INCOMPATIBLE)
    assert "records were lost by the sink callback lamp: its function failed: KeyError: 2; none was" in second.detail
    wait_until(lambda: site.heard("records are lost: the sink callback lamp: its function failed: KeyError: 2"))
    assert fleet.models["digits", 2].sha256 not in fleet.reported[DEVICE].quarantine, "the function may be at fault"
    third = fleet.wish(DEVICE, "digits", site.publish(3), application=("watch", 2), policy=PROBATION)
    assert fleet.wait_for_final(third).state is UpdateState.DONE
    wait_until(lambda: site.heard("records are lost: the sink webhook 127.0.0.1"))
