"""An agent that is too old says so: the rule, the doctor, and the verbs that take a package."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.running_agent import prepare_home
from contract.codec import encode
from contract.files import sha256_of
from contract.manifest import Manifest
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired
from contract.package import Package, open_package, write_manifest
from contract.signing import PrivateKey, generate_key, public_key_to_bytes, public_key_to_dict, sign_document
from contract.states import FailureReason, UpdateState
from edge_agent.cli import agent
from edge_agent.diagnosis import examine
from edge_agent.enrolment import EnrolmentRecord
from edge_agent.findings import Finding
from edge_agent.home import Home, make_home
from edge_agent.least_agent import find_shortfall
from edge_agent.update.reports import report_of
from tests.simulators.disk import SimulatedDisk
from tests.simulators.packages import make_package
from tests.simulators.updates import Device, World, make_version

NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("needed", "agent_version", "words"),
    [
        ("", "0.1.0", ""),
        ("0.1.0", "0.1.0", ""),
        ("0.2.0", "0.2", ""),
        ("0.2", "0.2.0", ""),
        ("0.2.0", "0.10.0", ""),
        ("0.1.1", "0.1.0", "X needs agent 0.1.1 or newer, this is 0.1.0"),
        ("1", "0.9.9", "X needs agent 1 or newer, this is 0.9.9"),
        ("newest", "0.1.0", "X asks for agent 'newest', which is no version"),
    ],
)
def test_the_rule(needed: str, agent_version: str, words: str) -> None:
    assert find_shortfall({"nobody": "", "X": needed}, agent_version) == words


def agents_version(home: Home) -> Finding:
    return next(finding for finding in examine(home) if finding.subject == "Agent's version")


def enrol(home: Home, agent_min_version: str) -> None:
    """What a fleet left on this device: an identity and a signed wish."""
    key = generate_key()
    record = EnrolmentRecord(
        1, "http://127.0.0.1:9", "mqtt://127.0.0.1:9", "line", "pi-1", "2026-01-01T00:00:00Z", sha256_of(b"root"), "pi"
    )
    desired = Desired(1, "line", "pi-1", 3, NOW, {}, agent_min_version=agent_min_version)
    for name, data in {
        "enrolment.json": encode(record),
        "password": b"secret",
        "director.json": encode(public_key_to_dict(key.public)),
        "root.json": b"root",
    }.items():
        (home.identity / name).write_bytes(data)
    (home.state / "desired.json").write_bytes(sign_document(encode(desired), DESIRED_PAYLOAD_TYPE, key))


@pytest.mark.parametrize(("asked", "verdict"), [("", "good"), ("0.1.0", "good"), ("99.0", "wrong")])
def test_the_doctor_says_what_the_fleet_asks_for(asked: str, verdict: str, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    enrol(home, asked)
    finding = agents_version(home)
    assert finding.verdict == verdict
    assert ("the fleet needs agent 99.0 or newer" in finding.text) == (verdict == "wrong")


@pytest.fixture
def key() -> PrivateKey:
    return generate_key()


@pytest.fixture
def newer(tmp_path: Path, key: PrivateKey) -> Package:
    """A package for agents that do not exist yet."""
    package = make_package(tmp_path / "package", key=key)
    manifest = msgspec.json.decode(package.manifest_bytes, type=Manifest)
    requirements = msgspec.structs.replace(manifest.requirements, agent_min_version="99.0")
    write_manifest(package.folder, msgspec.structs.replace(manifest, requirements=requirements), key)
    return open_package(package.folder, None)


def test_the_doctor_says_it_of_what_is_installed(newer: Package, tmp_path: Path) -> None:
    """As after going back to an older agent: the version serves on."""
    finding = agents_version(prepare_home(tmp_path / "home", newer, "onnx-float32"))
    assert finding.verdict == "wrong"
    assert "digits 1 in the slot main needs agent 99.0 or newer" in finding.text


@pytest.mark.parametrize("verb", ["install", "tune", "predict"])
def test_a_verb_refuses_a_package_for_a_newer_agent(verb: str, newer: Package, key: PrivateKey, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (home.trust / "key.pub.json").write_bytes(public_key_to_bytes(key.public, "key"))
    more = ["--golden"] if verb == "predict" else []
    answer = CliRunner().invoke(agent, [verb, str(newer.folder), *more, "--home", str(home.folder)])
    assert answer.exit_code == 1
    assert "digits 1 needs agent 99.0 or newer" in answer.output


def test_a_device_reports_why_it_did_not_take_a_wish(tmp_path: Path) -> None:
    home, world = make_home(tmp_path / "home"), World({1: make_version(1)})
    device = Device(home.folder, world, SimulatedDisk(home.folder))
    assert device.live([msgspec.structs.replace(world.wish(1, 1), agent_min_version="99.0")])
    assert device.runner.state.update is not None
    report = report_of(device.runner.state.update)
    assert (report.state, report.reason) == (UpdateState.FAILED, FailureReason.INCOMPATIBLE)
    assert "the fleet needs agent 99.0 or newer" in report.detail
