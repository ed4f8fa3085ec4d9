"""What the agent says of itself: the rule in words, a real agent's file, and the doctor who reads it."""

import json
import os
import signal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from benchmarks.running_agent import prepare_home
from contract.messages import Health, ReportedSlot, UpdateReport, VersionRef
from contract.package import Package
from contract.states import FailureReason, HealthState, UpdateState
from edge_agent.cli import agent
from edge_agent.health import Serving, find_reasons
from edge_agent.home import make_home
from edge_agent.status import FleetStatus, Known, SlotStatus, StatusWriter, build_status, find_obstacle, read_status
from edge_agent.worker.messages import SinkState
from tests.edge_agent.test_fleet_updates import PNG
from tests.edge_agent.test_health import FINE
from tests.simulators.agents import AgentProcess
from tests.simulators.waiting import wait_until

HEALTH = Health(1, "boot", "2026-01-01T00:00:00.000Z", HealthState.HEALTHY, (), 3.5, 8 << 30, 4 << 30, 90 << 20, 10 << 30, 1.0, "0.1.0")
V1 = VersionRef("digits", 1, "a" * 64)
FAILED = UpdateReport(UpdateState.ROLLED_BACK, V1, 3, 1, reason=FailureReason.PROBATION_CRASHES, detail="its worker ended 3 times")
WAITING = UpdateReport(UpdateState.SELF_TESTING, V1, 3, detail="waits for its maintenance window, opens 2026-06-11 02:00 UTC")
GOOD_SLOT = SlotStatus(
    ReportedSlot(current=V1, variant="onnx-float32"), answers=True, completed=12, latency_p50_ms=0.5, latency_p95_ms=1.25
)
LOST = SinkState("callback lamp", "no lamp", "2026-01-01T10:11:12.345Z", 9, 3, advice="see to it")
WAITS = SinkState("topic t", "no broker", "2026-01-01T10:11:12.345Z", 9, waiting=7, advice="see to it")
MENDED = SinkState("topic t", offered=9, lost=2)
LINKED = FleetStatus("pi-01", "line", connected=True)


def changed(slot: SlotStatus, **changes: object) -> SlotStatus:
    return msgspec.structs.replace(slot, **changes)


@pytest.mark.parametrize(
    ("slot", "fleet", "first", "advice"),
    [
        (GOOD_SLOT, None, ("good", "Device", "healthy"), ""),
        (
            changed(GOOD_SLOT, answers=False, last_crash="ended with signal 9"),
            None,
            ("wrong", "Slot main", "does not answer (ended"),
            "log",
        ),
        (changed(GOOD_SLOT, crashes=2, last_crash="hangs"), None, ("note", "Slot main", "ended 2 time(s) in ten minutes (hangs)"), "tune"),
        (changed(GOOD_SLOT, source_failure="no camera"), None, ("wrong", "Slot main", "its source failed: no camera"), "application"),
        (
            changed(GOOD_SLOT, sinks=(LOST,)),
            None,
            ("wrong", "Slot main", "its sink callback lamp is broken since 2026-01-01 10:11:12 UTC: no"),
            "see",
        ),
        (changed(GOOD_SLOT, sinks=(LOST,)), None, ("wrong", "Slot main", "no lamp; 3 of 9 records are lost"), "see"),
        (changed(GOOD_SLOT, sinks=(WAITS,)), None, ("note", "Slot main", "7 record(s) wait, none is lost yet"), "see to it"),
        (changed(GOOD_SLOT, sinks=(MENDED,)), None, ("good", "Device", "healthy"), ""),
        (changed(GOOD_SLOT, reported=ReportedSlot()), None, ("note", "Slot main", "no model is installed"), "eyelet-agent install"),
        (
            changed(GOOD_SLOT, reported=ReportedSlot(), damaged="digits 1"),
            None,
            ("wrong", "Slot main", "digits 1 is damaged on this disk, and there is no other version"),
            "Install it again",
        ),
        (changed(GOOD_SLOT, reported=ReportedSlot(current=V1, update=FAILED)), None, ("note", "Slot main", "probation_crashes"), "publish"),
        (
            changed(GOOD_SLOT, reported=ReportedSlot(update=WAITING)),
            None,
            ("note", "Slot main", "self_testing: waits for its"),
            "by itself",
        ),
        (GOOD_SLOT, LINKED, ("good", "Device", ""), ""),
        (GOOD_SLOT, changed(LINKED, connected=False, away_s=5.0), ("note", "Fleet", "not connected for 5 s"), "network"),  # type: ignore[arg-type]
        (GOOD_SLOT, changed(LINKED, connected=False, away_s=500.0), ("wrong", "Fleet", "not connected for 500 s"), "network"),  # type: ignore[arg-type]
        (GOOD_SLOT, changed(LINKED, dropped={"rule": 3}), ("note", "Fleet", "dropped for want of space: 3 rule"), "outbox_max_bytes"),  # type: ignore[arg-type]
        (GOOD_SLOT, changed(LINKED, refusal="signed by nobody"), ("wrong", "Fleet", "signed by nobody"), "operator"),  # type: ignore[arg-type]
    ],
)
def test_the_worst_finding_comes_first_with_advice(
    slot: SlotStatus, fleet: FleetStatus | None, first: tuple[str, str, str], advice: str
) -> None:
    status = build_status(Known("http://x", HEALTH, {}, {"main": slot}, fleet=fleet))
    finding = status.findings[0]
    assert (finding.verdict, finding.subject) == first[:2]
    assert first[2] in finding.text
    assert advice in finding.advice
    assert bool(finding.advice) == (finding.verdict != "good")


def test_every_reason_against_a_device_comes_with_advice() -> None:
    bad = FINE._replace(memory_available_bytes=1, disk_free_bytes=1, temperature_c=99.0, throttled_bits=0xF, memory_pressure_percent=50.0)
    reasons = find_reasons(bad, Serving(wanted=1, answering=0, recent_crashes=1))
    assert len(reasons) == 7
    assert all(reasons.values())
    ill = msgspec.structs.replace(HEALTH, state=HealthState.FAILING, reasons=tuple(reasons))
    findings = build_status(Known("", ill, reasons, {})).findings
    assert [(finding.verdict, bool(finding.advice)) for finding in findings] == [("wrong", True)] * 7


def test_a_file_that_can_not_be_written_or_read_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = StatusWriter(tmp_path / "nowhere" / "status.json", lambda: Known("", HEALTH, {}, {}))
    writer.write()
    writer.write()
    assert caplog.text.count("can not be written") == 1
    assert find_obstacle(tmp_path / "nowhere") is None
    assert find_obstacle(tmp_path) is None
    assert read_status(tmp_path / "nowhere" / "status.json") is None
    (tmp_path / "status.json").write_text('{"at": 3}')
    assert read_status(tmp_path / "status.json") is None


def doctor(home: Path) -> dict[str, dict[str, str]]:
    answer = CliRunner().invoke(agent, ["doctor", "--home", str(home), "--json"])
    return {finding["subject"]: finding for finding in json.loads(answer.stdout)}


def test_a_running_agent_says_how_it_is_and_the_doctor_repeats_it(package: Package, tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "home", package, "onnx-float32")
    with AgentProcess(home.folder) as running:
        running.answers(PNG)
        wait_until(lambda: read_status(home.status) is not None)
        status = read_status(home.status)
        assert status is not None
        assert status.slots["main"].answers
        assert status.health.agent_memory_bytes > 10 << 20
        assert running.endpoint["url"] == status.url
        assert "digits 1 (onnx-float32, 1 thread) answers" in doctor(home.folder)["Slot main"]["text"]
        os.kill(running.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
        stale = msgspec.structs.replace(status, at="2026-01-01T00:00:00.000Z")
        home.status.write_bytes(msgspec.json.encode(stale))
        assert "has said nothing for" in doctor(home.folder)["Agent"]["text"]
        os.kill(running.process.pid, signal.SIGCONT)  # type: ignore[union-attr]
        assert running.stop() == 0
    assert not home.status.exists()
    assert doctor(home.folder)["Agent"]["text"] == "does not run"


def test_an_agent_without_a_model_is_healthy_and_says_what_to_do(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with AgentProcess(home.folder):
        wait_until(lambda: read_status(home.status) is not None)
        assert doctor(home.folder)["Slot main"]["text"] == "no model is installed"
