"""The wall clock jumps by a year: deadlines, probation and watchdog are of the monotonic clock and do not notice."""

import re
from pathlib import Path

import psutil
import pytest

import edge_agent
from contract.messages import UpdatePolicy
from contract.signing import generate_key
from contract.states import UpdateState
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.test_fleet_updates import DEVICE, Site
from tests.simulators.agents import AgentProcess
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import wait_until

YEAR_S = 366 * 86400
JUMPING = '''
"""Python's wall clock, set by what a file says."""
import datetime, os, time

def _offset():
    try:
        with open(os.environ["JUMP_FILE"]) as file:
            return float(file.read() or 0)
    except (OSError, ValueError, KeyError):
        return 0.0

_time = time.time
time.time = lambda: _time() + _offset()
_Real = datetime.datetime

class datetime_(_Real):
    @classmethod
    def now(cls, tz=None):
        return _Real.now(tz) + datetime.timedelta(seconds=_offset())

datetime.datetime = datetime_
'''
WALL_CLOCK = re.compile(r"time\.time\(\)|datetime\.now\(|utc_now\(\)|time\.time\b(?!_)")
MEANS_A_DATE = {
    "capture/wish.py": "until when the operator wishes",
    "command_actions.py": "when something was done",
    "commands_received.py": "when a command expires",
    "conditions.py": "maintenance windows and whether the clock can be right",
    "diagnosis.py": "the same, and how old a page is",
    "door_findings.py": "when a certificate expires",
    "enrolment.py": "when a token expires",
    "fleet_desk.py": "when something happened",
    "health.py": "when something was measured",
    "inbox.py": "how old a file is, by its own date",
    "memory.py": "a number that rises even after the file was lost",
    "serving/metrics.py": "since when it runs",
    "serving/request_times.py": "when the last inference was, as the protocol says it",
    "serving/status_page.py": "how old a page is",
    "status.py": "when something was said",
    "supervisor.py": "when something was reported",
    "tuning.py": "when something was measured",
    "update/journal.py": "when a step was taken",
    "update/tools.py": "maintenance windows and expiry",
    "update/tuf_child.py": "whether metadata have expired",
    "worker/application_loop.py": "when something was seen",
    "worker/shadow_tap.py": "when something was seen",
    "worker/sink_watch.py": "since when a sink is broken",
    "worker/windows.py": "when a window began",
}
"""Every place that reads the wall clock, and the date that it means. A duration or a deadline is none."""


def test_the_wall_clock_is_read_only_where_a_date_is_meant() -> None:
    root = Path(edge_agent.__file__).parent
    reading = {path.relative_to(root).as_posix() for path in root.rglob("*.py") if WALL_CLOCK.search(path.read_text(encoding="utf-8"))}
    assert reading <= set(MEANS_A_DATE), f"a duration? then time.monotonic(); a date? then say which: {reading - set(MEANS_A_DATE)}"


@pytest.mark.once
def test_a_clock_that_jumps_hurries_nothing_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jumping").mkdir()
    (tmp_path / "jumping" / "sitecustomize.py").write_text(JUMPING)
    offset = tmp_path / "offset"
    offset.write_text("0")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "jumping"))
    monkeypatch.setenv("JUMP_FILE", str(offset))
    policy = UpdatePolicy(probation_s=1.0, probation_min_inferences=0, self_test_timeout_s=30)
    with FleetSimulator(tmp_path / "fleet") as fleet:
        enrol(make_home(tmp_path / "home"), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(tmp_path / "home") as agent:
            site = Site(fleet, agent, tmp_path, generate_key())
            first = fleet.wait_for_final(fleet.wish(DEVICE, "digits", site.publish()), 60)
            assert first.state is UpdateState.DONE, agent.read_log()
            for jump_s in (YEAR_S, -YEAR_S):
                revision = fleet.wish(DEVICE, "digits", site.publish(), policy=policy)
                wait_until(lambda revision=revision: UpdateState.PROBATION in site.states(revision), 60, agent.read_log)
                offset.write_text(str(jump_s))
                final = fleet.wait_for_final(revision, 60)
                assert (final.state, final.attempt) == (UpdateState.DONE, 1), agent.read_log()
                offset.write_text("0")
            assert agent.process is not None
            assert agent.process.poll() is None
            assert "is replaced" not in agent.read_log()
            assert len(psutil.Process(agent.process.pid).children()) >= 1
