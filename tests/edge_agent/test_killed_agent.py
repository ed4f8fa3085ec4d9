"""A real agent process, ended by SIGKILL in a state of its update, found by watching its journal."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contract.messages import UpdatePolicy
from contract.signing import generate_key
from contract.states import FailureReason, UpdateState
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.test_fleet_updates import DEVICE, Site
from tests.simulators.agents import AgentProcess
from tests.simulators.children import is_alive
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import PROMPT_S, wait_until

S = UpdateState
LONG = UpdatePolicy(probation_s=60.0, probation_min_inferences=0, self_test_timeout_s=20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("kills")
    with FleetSimulator(folder / "fleet") as fleet:
        enrol(make_home(folder / "home"), fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(folder / "home") as agent:
            site = Site(fleet, agent, folder, generate_key())
            assert site.update(site.publish()).state is S.DONE
            yield site


def kill_in(site: Site, revision: int, state: UpdateState, attempt: int = 1) -> str:
    """SIGKILL as soon as the journal says so; returns the state that it came to."""

    def reached() -> bool:
        last = site.agent.last_line()
        return (last["revision"], last["state"], last["attempt"]) == (revision, state.value, attempt)

    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, site.agent.last_line()
        time.sleep(0.001)  # leaves the core to the agent; the shortest of these states lasts far longer
    site.agent.kill()
    return str(site.agent.last_line()["state"])


def restart(site: Site) -> float:
    """Start again; returns the seconds until the endpoint answered."""
    begun = time.monotonic()
    site.agent.start()
    site.answers()
    return time.monotonic() - begun


@pytest.mark.once
def test_killed_in_downloading_goes_on_and_commits(site: Site) -> None:
    site.fleet.http.statuses = [503] * 4
    version = site.publish("slow")
    revision = site.fleet.wish(DEVICE, "digits", version)
    kill_in(site, revision, S.DOWNLOADING)
    site.fleet.http.statuses = []
    restart(site)
    final = site.fleet.wait_for_final(revision)
    assert (final.state, final.attempt) == (S.DONE, 1)


@pytest.mark.parametrize("state", [S.SELF_TESTING, S.ACTIVATING])
@pytest.mark.once
def test_killed_once_before_probation_tries_again_and_commits(site: Site, state: UpdateState) -> None:
    before, version = site.answers(), site.publish()
    revision = site.fleet.wish(DEVICE, "digits", version)
    came_to = kill_in(site, revision, state)
    site.agent.start()
    assert site.answers() in {before, str(version)}
    final = site.fleet.wait_for_final(revision)
    assert (final.state, final.attempt, final.reason) == (S.DONE, 2, None)
    interrupted = [update for update in site.fleet.updates(revision) if update.reason is FailureReason.INTERRUPTED]
    assert interrupted[0].state is (S.QUEUED if came_to == "self_testing" else S.ROLLING_BACK)


@pytest.mark.once
def test_killed_in_probation_serves_the_last_known_good_then_gives_up_the_third_time(site: Site) -> None:
    before, version = site.answers(), site.publish()
    revision = site.fleet.wish(DEVICE, "digits", version, policy=LONG)
    for attempt in (1, 2, 3):
        kill_in(site, revision, S.PROBATION, attempt)
        site.agent.start()
        assert site.answers() == before if attempt == 3 else site.answers() in {before, str(version)}
    final = site.fleet.wait_for_final(revision)
    assert (final.state, final.reason, final.attempt) == (S.FAILED, FailureReason.INTERRUPTED, 3)
    assert site.answers() == before
    assert site.fleet.models["digits", version].sha256 not in site.fleet.reported[DEVICE].quarantine
    assert site.update(version).state is S.DONE, "an interruption says nothing about the version"


@pytest.mark.once
def test_an_agent_without_any_network_serves_what_it_has(site: Site) -> None:
    before = site.answers()
    site.agent.kill()
    site.fleet.take_down()
    assert restart(site) < 20
    assert site.answers() == before
    site.fleet.bring_up()
    wait_until(lambda: site.fleet.presence[DEVICE].presence.value == "online")


def test_a_damaged_journal_means_last_known_good_and_a_report(site: Site) -> None:
    before = site.answers()
    assert site.agent.stop() == 0
    path = site.agent.home / "state" / "journal.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)
    restart(site)
    assert site.answers() == before
    wait_until(lambda: any("journal is damaged" in event.text for event in site.fleet.events.values()))
    assert path.with_name("journal.jsonl.damaged").exists()
    assert site.update(site.publish()).state is S.DONE


def test_a_damaged_current_version_means_last_known_good_or_nothing_but_never_a_refusal_to_start(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (home.slots / "main").mkdir()
    for name in ("current", "last_known_good"):
        (home.slots / "main" / f"{name}.json").write_bytes(b"\x00" * 50)
    for name in ("memory.json", "quarantine.json", "desired.json"):
        (home.state / name).write_bytes(b"{{{")
    home.journal.write_bytes(b"\xff\n")
    home.outbox.write_bytes(b"no database" * 1000)
    with AgentProcess(tmp_path / "home") as agent:
        assert agent.stop() == 0


def workers(site: Site) -> list[psutil.Process]:
    assert site.agent.process is not None
    return psutil.Process(site.agent.process.pid).children()


@pytest.mark.once
def test_a_worker_that_is_killed_is_replaced_and_no_worker_outlives_its_agent(site: Site) -> None:
    before = site.answers()
    wait_until(lambda: len(workers(site)) == 1, 20)  # the worker of a version before has drained
    (worker,) = workers(site)
    worker.kill()
    wait_until(lambda: [process.pid for process in workers(site)] not in ([], [worker.pid]))
    assert site.answers() == before
    wait_until(lambda: any("signal 9" in event.text for event in site.fleet.events.values()))
    (worker,) = workers(site)
    site.agent.kill()
    wait_until(lambda: not is_alive(worker.pid))
    restart(site)


@pytest.mark.once
def test_a_worker_that_dies_three_times_in_probation_is_rolled_back(site: Site) -> None:
    before, version = site.answers(), site.publish()
    revision = site.fleet.wish(DEVICE, "digits", version, policy=LONG)
    wait_until(lambda: S.PROBATION in site.states(revision))
    wait_until(lambda: len(workers(site)) == 1, 20)  # the worker of the version before has drained
    killed: set[int] = set()
    while len(killed) < 3:
        wait_until(lambda: {process.pid for process in workers(site)} - killed, 20)
        for process in workers(site):
            if process.pid not in killed:
                killed.add(process.pid)
                process.kill()
    final = site.fleet.wait_for_final(revision)
    assert (final.state, final.reason) == (S.ROLLED_BACK, FailureReason.PROBATION_CRASHES)
    assert site.answers() == before


@pytest.mark.once
def test_the_supervisor_loads_no_numpy_and_ends_at_once(site: Site) -> None:
    assert site.agent.process is not None
    maps = Path(f"/proc/{site.agent.process.pid}/maps")
    if maps.exists():
        loaded = maps.read_text()
        assert "psutil" in loaded
        assert not [name for name in ("numpy", "onnxruntime", "PIL", "litert") if name in loaded]
    begun = time.monotonic()
    assert site.agent.stop() == 0
    assert time.monotonic() - begun < PROMPT_S
    assert not (site.agent.home / "run" / "endpoint.json").exists()
    restart(site)
