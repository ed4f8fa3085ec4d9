import pytest

from contract.states import GateVerdict
from fleet_server.rollouts import gates
from tests.fleet_server.rollouts.fleets import GateSpec, broken, device, done, make_facts, make_spec

PASS, WAIT, FAIL = GateVerdict.PASS, GateVerdict.WAIT, GateVerdict.FAIL
AB = make_spec(control_version=1)


def test_every_gate_gives_a_reason_even_when_nothing_happened():
    for view in gates.evaluate_gates(make_facts([device(exposed_at=None, deadline_at=None)])):
        assert view.reason
        assert view.verdict in {PASS, WAIT}


def test_two_of_two_failures_stop_at_the_default_limits():
    assert gates.install_failures(make_facts([broken("a"), broken("b")])).verdict is FAIL
    assert gates.install_failures(make_facts([broken("a")])).verdict is PASS


def test_a_failure_that_does_not_stop_the_rollout_yet_says_why():
    alone = gates.install_failures(make_facts([broken("a")])).reason
    assert alone.startswith("1 of 1 device that began failed")
    assert alone.endswith(
        "not yet evidence that more than the tolerated 5.0% of devices fail, since so few may fail by chance; 2 of 2 would be"
    )
    many = gates.install_failures(make_facts([broken("a"), *(done(f"d{i}") for i in range(9))])).reason
    assert "so few may fail by chance; 5 of 10 would be" in many
    assert gates.install_failures(make_facts([done("d")])).reason.endswith("; 2 of 2 would be enough")
    hopeless = make_spec(gates=GateSpec(tolerated_failure_share=0.999))
    assert gates.install_failures(make_facts([broken("a")], spec=hopeless)).reason.endswith("by chance")


def test_failures_that_come_first_do_not_condemn_a_phase_that_is_under_way():
    under_way = [device(f"u{i}", started=True) for i in range(98)]
    assert gates.install_failures(make_facts([broken("a"), broken("b"), *under_way])).verdict is PASS


def test_devices_that_have_not_begun_say_nothing():
    silent = [device(f"s{i}") for i in range(98)]
    assert gates.install_failures(make_facts([broken("a"), broken("b"), *silent])).verdict is FAIL


def test_a_failure_that_is_not_the_versions_fault_is_no_evidence_against_it():
    full = [done(name, failed=True) for name in "abcdef"]
    assert gates.install_failures(make_facts(full)).verdict is PASS
    assert gates.phase_success(make_facts(full)).verdict is FAIL


def test_failures_of_the_control_are_not_held_against_the_treatment():
    facts = make_facts([broken(name, arm="control") for name in "abc"] + [done("t")], spec=AB)
    assert gates.install_failures(facts).verdict is PASS


@pytest.mark.parametrize(("limit", "verdict"), [(0, PASS), (1, FAIL), (2, FAIL), (3, PASS)])
def test_max_failures_counts_devices(limit, verdict):
    spec = make_spec(gates=GateSpec(max_failures=limit))
    assert gates.max_failures(make_facts([broken("a"), broken("b")], spec=spec)).verdict is verdict


def test_a_phase_in_which_every_settled_device_failed_fails():
    assert gates.phase_success(make_facts([broken("a")])).verdict is FAIL
    assert gates.phase_success(make_facts([broken("a"), device("b", started=True)])).verdict is WAIT
    assert gates.phase_success(make_facts([broken("a"), device("b", started=True)], now=200)).verdict is FAIL  # b is unreachable
    assert gates.phase_success(make_facts([broken("a"), done("b")])).verdict is PASS


def test_a_phase_in_which_nobody_answered_is_no_success():
    view = gates.phase_success(make_facts([device("a")], now=200))
    assert view.verdict is WAIT
    assert "1 unreachable" in view.reason


def test_one_silent_device_in_the_last_phase_is_reported_and_many_are_a_doubt():
    early = [done(f"e{i}") for i in range(2)]
    one = gates.phase_success(make_facts([*early, device("late", phase=1)], phase=1, now=200))
    assert one.verdict is PASS
    assert "1 unreachable" in one.reason
    many = [device(f"late{i}", phase=1) for i in range(20)]
    view = gates.phase_success(make_facts([*early, *many], phase=1, now=200))
    assert view.verdict is WAIT
    assert "20 are silent, 2 done" in view.reason


def test_a_treatment_below_the_latency_floor_never_fails_by_its_ratio():
    control, treatment = done("c", arm="control", latency_p95_ms=0.2, inferences=100), done("t", latency_p95_ms=0.9, inferences=100)
    assert gates.latency(make_facts([control, treatment], spec=AB)).verdict is PASS
    assert gates.latency(make_facts([control, done("t", latency_p95_ms=1.1, inferences=100)], spec=AB)).verdict is FAIL


def test_latency_compares_the_median_devices_of_both_arms():
    def arms(factor, inferences=100):
        control = [done(f"c{i}", arm="control", latency_p95_ms=1.0, inferences=inferences) for i in range(3)]
        return make_facts([*control, done("t", latency_p95_ms=factor, inferences=inferences)], spec=AB)

    assert gates.latency(arms(1.4)).verdict is PASS
    assert gates.latency(arms(1.6)).verdict is FAIL
    assert gates.latency(arms(1.6, inferences=5)).verdict is WAIT
    assert gates.latency(make_facts([done("t", latency_p95_ms=9.0, inferences=100)])).verdict is PASS


def test_the_error_share_of_the_control_excuses_as_much():
    def errors(treated, control):
        return make_facts(
            [done("t", inferences=100 - treated, errors=treated), done("c", arm="control", inferences=100 - control, errors=control)],
            spec=AB,
        )

    assert gates.error_share(errors(1, 0)).verdict is PASS
    assert gates.error_share(errors(5, 0)).verdict is FAIL
    assert gates.error_share(errors(5, 4)).verdict is PASS


def test_drift_counts_only_against_a_control():
    drifting = {"drift_state": "drifting", "drift_score": 0.4}
    fine = {"drift_state": "ok", "drift_score": 0.01}
    assert gates.drift(make_facts([done("t", **drifting)])).verdict is PASS
    assert gates.drift(make_facts([done("t", **drifting), done("c", arm="control", **fine)], spec=AB)).verdict is FAIL
    assert gates.drift(make_facts([done("t", **drifting), done("c", arm="control", **drifting)], spec=AB)).verdict is PASS


def test_an_arm_that_falls_silent_is_a_sample_ratio_mismatch():
    control = [done(f"c{i}", arm="control", inferences=10) for i in range(150)]
    silent = [done(f"t{i}", inferences=0 if i % 3 else 10) for i in range(150)]
    lively = [done(f"t{i}", inferences=10) for i in range(150)]
    assert gates.sample_ratio(make_facts([*control, *silent], spec=AB)).verdict is FAIL
    assert gates.sample_ratio(make_facts([*control, *lively], spec=AB)).verdict is PASS


def test_minimum_inferences_waits_for_each_arm():
    spec = make_spec(control_version=1, gates=GateSpec(minimum_inferences=50))
    facts = make_facts([done("t", inferences=100), done("c", arm="control", inferences=10)], spec=spec)
    assert gates.minimum_inferences(facts).verdict is WAIT
