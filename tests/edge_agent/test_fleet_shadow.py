"""A version in the shadow of the one that serves: a real agent process, a simulated fleet, requests over HTTP."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from contract.application import Application, CapturePolicy, Source
from contract.messages import UpdateEvent, UpdatePolicy
from contract.pairs import describe_pairs
from contract.signing import generate_key
from contract.states import FailureReason, UpdateState
from edge_agent.capture.store import list_samples
from edge_agent.enrolment import enrol
from edge_agent.home import make_home
from tests.edge_agent.test_fleet_updates import ALL_STATES, DEVICE, PNG, Asker, Site
from tests.simulators.agents import AgentProcess
from tests.simulators.children import children_of
from tests.simulators.fleet import FleetSimulator
from tests.simulators.waiting import wait_until

pytestmark = pytest.mark.once

S = UpdateState
POLICY = UpdatePolicy(probation_s=0.3, probation_min_inferences=0, self_test_timeout_s=20, shadow_s=1.5, shadow_min_pairs=20)
STRICT = UpdatePolicy(probation_s=0.3, probation_min_inferences=0, shadow_s=1.5, shadow_min_pairs=20, shadow_max_disagreement=0.05)
LONG = UpdatePolicy(probation_s=0.3, probation_min_inferences=0, shadow_s=600.0)
WATCH = ("watch", 1)
WAIT_S = 60.0
WITH_SHADOW = [*ALL_STATES[: ALL_STATES.index(S.ACTIVATING)], S.SHADOWING, *ALL_STATES[ALL_STATES.index(S.ACTIVATING) :]]


def update(site: Site, version: int, **wish: Any) -> UpdateEvent:
    """Wish for a version with the application that watches, and wait for the end."""
    return site.fleet.wait_for_final(site.fleet.wish(DEVICE, "digits", version, application=WATCH, **wish), WAIT_S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("shadow-site")
    with FleetSimulator(folder / "fleet") as fleet:
        home = make_home(folder / "home")
        (home.folder / "config.json").write_text('{"capture_samples": true}')
        enrol(home, fleet.make_claim(DEVICE), hardware_class="test", agent_version="0.1.0")
        with AgentProcess(folder / "home") as agent:
            site = Site(fleet, agent, folder, generate_key())
            (folder / "frames").mkdir()
            (folder / "frames" / "door.png").write_bytes(PNG)
            source = Source("folder", {"path": str(folder / "frames"), "per_second": 20, "repeat": True})
            fleet.publish_application(Application(1, "watch", 1, "digits", source, (), capture=CapturePolicy(on_disagreement=True)))
            final = update(site, site.publish(), policy=POLICY)
            assert (final.state, final.detail) == (S.DONE, "no shadow run: there is no version yet to compare with")
            yield site


def test_a_version_runs_in_the_shadow_its_pairs_arrive_and_then_it_is_activated(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish(), site.fleet
    with Asker(site) as asker:
        final = update(site, version, policy=POLICY, rollout="r1")
        wait_until(lambda: str(version) in asker.versions[-3:])
    assert final.state is S.DONE
    assert site.states(final.revision) == WITH_SHADOW
    assert asker.failures == []
    assert set(asker.versions) == {before, str(version)}
    left = next(update for update in fleet.updates(final.revision) if update.previous is S.SHADOWING)
    assert left.state is S.ACTIVATING
    assert left.paired is not None
    assert left.paired.pairs >= 20
    assert (left.paired.disagreements, left.paired.errors) == (0, 0)
    assert sum(block.pairs for block in left.paired.blocks) == left.paired.pairs
    assert left.paired.current_latency_us is not None
    assert left.paired.current_latency_us.count == left.paired.pairs
    assert final.detail == left.detail == describe_pairs(left.paired)
    wait_until(lambda: fleet.reported[DEVICE].slots["main"].update.state is S.DONE)  # type: ignore[union-attr]
    assert fleet.reported[DEVICE].slots["main"].update.paired == left.paired  # type: ignore[union-attr]


def test_a_version_that_disagrees_above_the_limit_is_refused_and_the_present_one_never_stopped_answering(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish("bad"), site.fleet
    with Asker(site) as asker:
        final = update(site, version, policy=STRICT)
    assert (final.state, final.reason) == (S.FAILED, FailureReason.SHADOW_DISAGREEMENT)
    assert final.detail.startswith("disagreed on 100.0 % of ")
    assert "at most 5.0% are tolerated" in final.detail
    assert final.paired is not None
    assert final.paired.disagreements == final.paired.pairs >= 20
    assert {found.current for found in final.paired.disagreed} == {"red"}
    assert S.ACTIVATING not in site.states(final.revision)
    assert asker.failures == []
    assert set(asker.versions) == {before}
    wait_until(lambda: fleet.models["digits", version].sha256 in fleet.reported[DEVICE].quarantine)
    kept = list_samples(site.agent.home / "captured" / "main")
    found = {(one.line.reason, one.line.source, one.line.label, one.line.candidate_version) for one in kept}
    assert found == {("disagreement", "door.png", "red", version)}, "of the application's source; requests are not kept"


def candidates(site: Site) -> list[int]:
    """Process ids of the candidates that this agent runs."""
    assert site.agent.process is not None
    return children_of(site.agent.process.pid, "edge_agent.worker.shadow")


def test_a_candidate_that_dies_in_the_shadow_ends_the_update_and_nothing_else(site: Site) -> None:
    before, version, fleet = site.answers(), site.publish("slow"), site.fleet
    with Asker(site) as asker:
        revision = fleet.wish(DEVICE, "digits", version, policy=LONG, application=WATCH)
        wait_until(lambda: candidates(site), WAIT_S)
        os.kill(candidates(site)[0], signal.SIGKILL)
        final = fleet.wait_for_final(revision, WAIT_S)
    assert (final.state, final.reason) == (S.FAILED, FailureReason.MODEL_CRASHED)
    assert asker.failures == []
    assert set(asker.versions) == {before}
