import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.codec import decode, encode
from contract.states import RolloutState
from fleet_server.rollouts.decision import decide
from fleet_server.rollouts.facts import RolloutFacts
from fleet_server.rollouts.lifecycle import Trigger
from tests.fleet_server.rollouts.fleets import BROKEN, GOOD, GateSpec, MemoryFleet, PhaseSpec, device, done, make_facts, make_spec

THREE_PHASES = (PhaseSpec(1000, 5.0), PhaseSpec(5000, 5.0), PhaseSpec(10_000, 5.0))


def test_a_good_version_reaches_every_device_phase_by_phase():
    fleet = MemoryFleet(20, make_spec(phases=THREE_PHASES), lambda _: GOOD)
    fleet.play(4)
    assert len(fleet.exposed) == 2
    fleet.play(4)
    assert len(fleet.exposed) == 10
    assert fleet.play(20) is RolloutState.SUCCEEDED
    assert len(fleet.exposed) == 20


def test_a_broken_version_stops_after_at_most_three_devices_and_all_go_back():
    spec = make_spec(phases=(PhaseSpec(10_000),), stagger_s=2.0)
    fleet = MemoryFleet(500, spec, lambda _: BROKEN)
    assert fleet.play(60) is RolloutState.ROLLED_BACK
    assert len(fleet.exposed) <= 3
    assert all(found.back for found in fleet.exposed)


def test_a_broken_version_in_a_small_first_phase_stops_there():
    fleet = MemoryFleet(3, make_spec(phases=(PhaseSpec(3000), PhaseSpec(10_000))), lambda _: BROKEN)
    assert fleet.play(20) is RolloutState.ROLLED_BACK
    assert len(fleet.exposed) == 1
    assert "every device that settled failed" in next(step.reason for step in fleet.history if step.trigger is Trigger.GATE_FAILED)


def test_healthy_rollouts_with_the_tolerated_failures_are_hardly_ever_stopped():
    stopped = 0
    for seed in range(40):
        random_ = random.Random(seed)
        fates = {f"d-{i}": random_.random() < 0.05 for i in range(100)}
        fleet = MemoryFleet(
            100, make_spec(phases=THREE_PHASES), lambda found, fates=fates: BROKEN if fates[found.device] else GOOD, salt=str(seed)
        )
        stopped += fleet.play(40) is not RolloutState.SUCCEEDED
    assert stopped <= 1


def test_failures_that_settle_faster_than_successes_do_not_stop_a_healthy_rollout():
    fates = {f"d-{i}": i % 20 == 0 for i in range(100)}  # 5 %, all in the first second; successes take ten
    spec = make_spec(phases=(PhaseSpec(10_000),))

    def end(found):
        if fates[found.device]:
            return BROKEN
        return GOOD if fleet.facts.now > 10 else None

    fleet = MemoryFleet(100, spec, end)
    assert fleet.play(30) is RolloutState.SUCCEEDED


def test_an_unreachable_device_holds_up_its_deadline_and_no_longer():
    fleet = MemoryFleet(10, make_spec(), lambda found: GOOD if found.device != "d-3" else None)
    assert fleet.play(90) is RolloutState.RUNNING
    assert fleet.play(20) is RolloutState.SUCCEEDED
    assert "1 unreachable: d-3" in fleet.history[-1].reason


def test_a_fleet_that_never_answers_pauses_instead_of_succeeding():
    fleet = MemoryFleet(4, make_spec(), lambda _: None)
    assert fleet.play(150) is RolloutState.PAUSED
    assert fleet.history[-1].trigger is Trigger.UNDECIDED


def test_on_failure_pause_stops_and_calls_nobody_back():
    fleet = MemoryFleet(4, make_spec(on_failure="pause", gates=GateSpec(max_failures=1)), lambda _: BROKEN)
    assert fleet.play(20) is RolloutState.PAUSED
    assert not any(found.called_back for found in fleet.facts.devices)


def test_a_paused_rollout_asks_nobody_but_still_rolls_back_on_a_failed_gate():
    facts = make_facts([device("a", exposed_at=None, deadline_at=None)], state=RolloutState.PAUSED)
    assert not decide(facts).acts
    bad = make_facts([done("a", failed=True, version_fault=True)], state=RolloutState.PAUSED)
    assert decide(bad).trigger is Trigger.GATE_FAILED


def test_stagger_asks_one_device_at_a_time():
    fleet = MemoryFleet(5, make_spec(stagger_s=10.0), lambda _: GOOD)
    fleet.play(25)
    assert len(fleet.exposed) == 3


def test_a_rollback_that_a_device_never_confirms_ends_with_its_name():
    devices = [done("a", called_back=True, back=True), done("b", called_back=True)]
    facts = msgspec.structs.replace(make_facts(devices, state=RolloutState.ROLLING_BACK, now=50), rollback_started_at=0.0)
    assert not decide(facts).acts
    late = decide(msgspec.structs.replace(facts, now=101.0))
    assert late.trigger is Trigger.ALL_BACK
    assert "not heard of: b" in late.reason


def test_the_arms_of_an_ab_rollout_are_judged_with_an_honest_verdict():
    spec = make_spec(control_version=1)
    control = [done("c", arm="control", latency_mean_ms=1.0, inferences=50)]
    treatment = [done(f"t{i}", latency_mean_ms=1.0 + i / 10, inferences=50) for i in range(2)]
    verdict = decide(make_facts([*control, *treatment], spec=spec)).verdict
    assert verdict.text.startswith("inconclusive: 1 and 2 devices; this fleet can detect no difference under")
    assert decide(make_facts(treatment)).verdict is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["good", "broken", "silent"]), min_size=1, max_size=12), st.integers(0, 5), st.booleans())
def test_every_rollout_comes_to_an_end_and_each_decision_can_be_replayed(fates, stagger, pause):
    spec = make_spec(phases=THREE_PHASES, stagger_s=float(stagger), on_failure="pause" if pause else "rollback", device_deadline_s=20.0)
    ends = {"good": GOOD, "broken": BROKEN, "silent": None}
    fleet = MemoryFleet(len(fates), spec, lambda found: ends[fates[int(found.device[2:])]])
    state = fleet.play(400)
    assert state in {RolloutState.SUCCEEDED, RolloutState.ROLLED_BACK, RolloutState.PAUSED}
    if state is RolloutState.PAUSED:
        assert fleet.history[-1].reason
    kept = decode(encode(fleet.facts), RolloutFacts, "facts")
    assert decide(kept) == decide(fleet.facts)


@pytest.mark.parametrize("share", [1, 2500, 9999])
def test_devices_beyond_the_last_share_are_never_asked(share):
    fleet = MemoryFleet(8, make_spec(phases=(PhaseSpec(share),)), lambda _: GOOD)
    assert fleet.play(20) is RolloutState.SUCCEEDED
    assert len(fleet.exposed) == max(1, -(-8 * share // 10_000))
