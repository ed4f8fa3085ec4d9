"""The shell around the rules: database, wishes and device reports, with a clock that the test moves."""

import asyncio
from functools import partial

import msgspec
import pytest
from sqlalchemy import select, update

from contract.codec import decode, utc_now
from contract.messages import Desired, Drift, Reported, ReportedSlot, UpdateEvent, UpdatePolicy, UpdateReport, VersionRef, Window
from contract.pairs import Disagreement, PairedBlock, PairedResult, describe_pairs
from contract.rest import GateSpec, PhaseSpec, RolloutAction, RolloutSpec
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import FailureReason, RolloutState, UpdateState
from fleet_server.conductor.actions import act
from fleet_server.conductor.loop import HEARING_S, Start, conduct_once, may_go_on
from fleet_server.conductor.observations import note_reported, note_update, note_window
from fleet_server.conductor.planning import create_rollout
from fleet_server.conductor.reconcile import has_work, reconcile
from fleet_server.conductor.restored import REASON, rise_above
from fleet_server.conductor.views import list_rollouts, view_rollout
from fleet_server.devices.desired import find_desired, find_envelope
from fleet_server.errors import ConflictError, NotFoundError, RefusedError
from fleet_server.rollouts.decision import decide
from fleet_server.rollouts.facts import RolloutFacts
from fleet_server.store import schema
from fleet_server.store.database import set_fact

DEVICES = ("pi-1", "pi-2", "pi-3")


class Theatre:
    """The server's rollouts, with devices that do as the test says."""

    def __init__(self, floor, studio, clock):
        self.floor, self.studio, self.clock = floor, studio, clock
        self.entries = {version: studio.publish_version("digits", version) for version in (1, 2, 3)}
        self.runs = dict.fromkeys(DEVICES)

    def write(self, work, *args, **kwargs):
        return self.floor.database.write(lambda connection: work(connection, *args, **kwargs))

    def read(self, work, *args, **kwargs):
        return self.floor.database.read(lambda connection: work(connection, *args, **kwargs))

    def create(self, version=2, **changes):
        spec = RolloutSpec(**{"name": "test", "model": "digits", "version": version, "device_deadline_s": 100.0, **changes})
        rollout = self.write(create_rollout, self.floor.conduct, spec)
        self.turn()
        return rollout

    def turn(self, seconds=0):
        self.clock.now += seconds
        for rollout in self.read(lambda c: list(c.scalars(select(schema.rollouts.c.rollout)))):
            self.write(reconcile, self.floor.conduct, rollout)

    def view(self, rollout):
        return self.read(view_rollout, rollout, self.clock())

    def act(self, rollout, action, revision=None):
        return self.write(act, self.floor.conduct, rollout, action, RolloutAction(revision or self.view(rollout).revision))

    def wish(self, device):
        found = self.read(find_desired, device)
        return (found.revision, found.slots["main"].model) if found else (0, None)

    def exposed(self, rollout):
        return sorted(found.device for found in self.view(rollout).assignments if found.revision)

    def ref(self, version):
        return VersionRef("digits", version, self.entries[version].sha256)

    def end(self, device, state=UpdateState.DONE, reason=None):
        """The device goes through the update that it was asked for, and reports."""
        revision, model = self.wish(device)
        step = UpdateEvent("main", state, model.ref, revision, rollout=model.rollout, arm=model.arm, reason=reason)
        self.write(note_update, device, msgspec.structs.replace(step, state=UpdateState.VERIFYING, reason=None))
        self.write(note_update, device, step)
        if state is UpdateState.DONE:
            self.runs[device] = model.ref
        self.report(device, UpdateReport(state, model.ref, revision, reason=reason))

    def report(self, device, update=None):
        slot = ReportedSlot(self.runs[device], self.runs[device], update=update)
        reported = Reported(1, device, "b", utc_now(), "0.1.0", "pi", self.wish(device)[0], {"main": slot})
        self.write(_store_reported, device, reported)
        self.write(note_reported, device, reported)

    def settle_all(self, rollout, **ends):
        for device in self.exposed(rollout):
            self.end(device, **ends)
        self.turn()


def _store_reported(connection, device, reported):
    connection.execute(schema.reported.delete().where(schema.reported.c.device == device))
    connection.execute(schema.reported.insert().values(device=device, body=msgspec.json.encode(reported).decode(), received_at=0.0))


@pytest.fixture
def theatre(floor, fleet, studio, clock):
    fleet(*DEVICES)
    return Theatre(floor, studio, clock)


@pytest.fixture
def everywhere(theatre):
    """All devices run version 1."""
    theatre.settle_all(theatre.create(1))
    assert {theatre.wish(device)[1].version for device in DEVICES} == {1}
    return theatre


FAILED = {"state": UpdateState.FAILED, "reason": FailureReason.ACCEPTANCE_BELOW_MINIMUM}
ROLLED_BACK = {"state": UpdateState.ROLLED_BACK, "reason": FailureReason.PROBATION_LATENCY}


def test_a_good_version_reaches_everyone(everywhere):
    rollout = everywhere.create(2)
    everywhere.settle_all(rollout)
    view = everywhere.view(rollout)
    assert view.state is RolloutState.SUCCEEDED
    assert view.state_reason == "3 of 3 devices are done"


def test_a_version_that_devices_refuse_is_called_back_with_a_newer_revision(everywhere):
    rollout = everywhere.create(3)
    before = {device: everywhere.wish(device)[0] for device in DEVICES}
    everywhere.settle_all(rollout, **FAILED)
    view = everywhere.view(rollout)
    assert view.state is RolloutState.ROLLING_BACK
    for device in DEVICES:
        revision, model = everywhere.wish(device)
        assert (revision, model.version, model.rollout) == (before[device] + 1, 1, "")
        everywhere.report(device)
    everywhere.turn()
    view = everywhere.view(rollout)
    assert view.state is RolloutState.ROLLED_BACK
    assert "install_failures" in view.state_reason
    assert {found.rolled_back_by for found in view.assignments} == {"device"}


def test_a_forced_rollout_asks_for_another_try_and_its_call_back_does_not(everywhere):
    everywhere.settle_all(everywhere.create(3), **FAILED)
    assert not everywhere.wish("pi-1")[1].force
    rollout = everywhere.create(3, force=True)
    assert all(everywhere.wish(device)[1].force for device in DEVICES)
    everywhere.act(rollout, "rollback")
    everywhere.turn()
    assert {(everywhere.wish(device)[1].version, everywhere.wish(device)[1].force) for device in DEVICES} == {(1, False)}


def test_windows_reach_the_devices_but_going_back_does_not_wait_for_one(everywhere):
    rollout = everywhere.create(3, policy=UpdatePolicy(activation_windows=("02:00-04:00",)), agent_min_version="0.2")
    assert everywhere.read(find_desired, "pi-1").agent_min_version == "0.2"
    assert everywhere.read(find_desired, "pi-1").policy.activation_windows == ("02:00-04:00",)
    everywhere.act(rollout, "rollback")
    everywhere.turn()
    wishes = [everywhere.read(find_desired, device) for device in DEVICES]
    assert {(wish.policy, wish.agent_min_version) for wish in wishes} == {(UpdatePolicy(), "")}


def test_what_a_device_waits_for_is_seen_in_the_rollout(everywhere):
    rollout = everywhere.create(3)
    revision, model = everywhere.wish("pi-1")
    for detail in ("", "waits for its maintenance window, opens 2026-06-11 02:00 UTC", ""):
        everywhere.report("pi-1", UpdateReport(UpdateState.SELF_TESTING, model.ref, revision, detail=detail))
        found = next(found for found in everywhere.view(rollout).assignments if found.device == "pi-1")
        assert (found.state, found.detail, found.settled) == (UpdateState.SELF_TESTING, detail, False)


def test_devices_that_were_fine_are_rolled_back_by_the_rollout(everywhere):
    rollout = everywhere.create(3)
    first, second, third = everywhere.exposed(rollout)
    everywhere.end(first)
    everywhere.end(second, **ROLLED_BACK)
    everywhere.turn()
    assert everywhere.view(rollout).state is RolloutState.RUNNING
    everywhere.act(rollout, "rollback")
    everywhere.turn()
    by = {found.device: found.rolled_back_by for found in everywhere.view(rollout).assignments}
    assert by == {first: "rollout", second: "device", third: "rollout"}
    assert {everywhere.wish(device)[1].version for device in DEVICES} == {1}
    everywhere.report(second)
    everywhere.report(third)
    everywhere.turn()
    assert everywhere.view(rollout).state is RolloutState.ROLLING_BACK  # the first has not gone back yet
    everywhere.end(first)
    everywhere.turn()
    assert everywhere.view(rollout).state is RolloutState.ROLLED_BACK


def test_a_device_that_had_nothing_gets_its_wish_withdrawn(theatre):
    rollout = theatre.create(3)
    theatre.settle_all(rollout, **FAILED)
    view = theatre.view(rollout)
    assert view.state is RolloutState.ROLLED_BACK
    assert theatre.wish("pi-1")[1] is None
    assert "had no version before" in view.assignments[0].detail


def test_a_phase_waits_for_its_time_and_its_devices(everywhere):
    rollout = everywhere.create(2, phases=(PhaseSpec(3000, 60.0), PhaseSpec(10_000, 0.0)))
    assert len(everywhere.exposed(rollout)) == 1
    everywhere.settle_all(rollout)
    assert len(everywhere.exposed(rollout)) == 1
    everywhere.turn(61)
    assert len(everywhere.exposed(rollout)) == 3
    assert everywhere.view(rollout).state is RolloutState.RUNNING
    everywhere.settle_all(rollout)
    assert everywhere.view(rollout).state is RolloutState.SUCCEEDED


def test_a_device_that_never_answers_is_named_and_does_not_block_for_ever(everywhere):
    rollout = everywhere.create(2)
    first, second, third = everywhere.exposed(rollout)
    everywhere.end(first)
    everywhere.end(second)
    everywhere.turn(99)
    assert everywhere.view(rollout).state is RolloutState.RUNNING
    everywhere.turn(2)
    view = everywhere.view(rollout)
    assert view.state is RolloutState.SUCCEEDED
    assert f"1 unreachable: {third}" in view.state_reason
    assert next(found for found in view.assignments if found.device == third).reason == "unreachable"
    everywhere.end(third)
    late = next(found for found in everywhere.view(rollout).assignments if found.device == third)
    assert late.settled
    assert not late.reason


def test_an_ab_rollout_leaves_the_control_where_it_is_and_settles_it(everywhere):
    rollout = everywhere.create(2, control_version=1, treatment_weight=2)
    view = everywhere.view(rollout)
    assert "before the start" in view.verdict.text
    arms = {found.device: found.arm for found in view.assignments}
    control = next(device for device, arm in arms.items() if arm == "control")
    assert everywhere.wish(control)[1].version == 1
    everywhere.report(control)
    settled = next(found for found in everywhere.view(rollout).assignments if found.device == control)
    assert settled.settled
    assert not settled.failed


def test_windows_are_counted_per_arm_and_give_the_verdict(everywhere):
    rollout = everywhere.create(2, control_version=1, treatment_weight=2)
    for found in everywhere.view(rollout).assignments:
        everywhere.report(found.device) if found.arm == "control" else everywhere.end(found.device)
        model = everywhere.wish(found.device)[1]
        everywhere.write(note_window, found.device, make_window(model, 1.0 if found.arm == "control" else 1.2))
    everywhere.turn()
    view = everywhere.view(rollout)
    assert view.state is RolloutState.SUCCEEDED
    control, treatment = view.arms
    assert (control.arm, control.version, control.inferences, control.class_counts) == ("control", 1, 50, {"a": 50})
    assert (treatment.version, treatment.inferences) == (2, 100)
    assert treatment.latency_p50_ms >= 1.2
    assert view.verdict.text.startswith("inconclusive: 1 and 2 devices")


def make_window(model, latency_ms, **changes):
    fields = {
        "schema_version": 1,
        "stream": "s",
        "sequence": 1,
        "boot_id": "b",
        "index": 1,
        "slot": "main",
        "target": model.ref,
        "variant": "onnx-float32",
        "started_at": utc_now(),
        "duration_s": 1.0,
        "count": 50,
        "latency_us": Histogram.of(LATENCY_BOUNDS_US, [latency_ms * 1000] * 50),
        "confidence": Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 50),
        "class_counts": {"a": 50},
        "rollout": model.rollout,
        "arm": model.arm,
        "drift": Drift(0.01, 0.3, "ok"),
    }
    return Window(**{**fields, **changes})


def test_windows_of_another_version_or_from_before_are_not_counted(everywhere):
    rollout = everywhere.create(2)
    everywhere.end("pi-1")
    model = everywhere.wish("pi-1")[1]
    everywhere.write(note_window, "pi-1", make_window(model, 1.0, target=everywhere.ref(1)))
    everywhere.write(note_window, "pi-1", make_window(model, 1.0, rollout="", started_at="2020-01-01T00:00:00Z"))
    assert everywhere.view(rollout).arms[0].inferences == 0
    everywhere.write(note_window, "pi-1", make_window(model, 1.0, rollout="", started_at="2999-01-01T00:00:00Z"))
    assert everywhere.view(rollout).arms[0].inferences == 50


def test_a_new_rollout_supersedes_the_one_on_the_same_devices_only(everywhere):
    elsewhere = everywhere.create(2, devices=("pi-3",))
    first = everywhere.create(2, devices=("pi-1", "pi-2"))
    second = everywhere.create(3, devices=("pi-2",))
    assert everywhere.view(first).state is RolloutState.SUPERSEDED
    assert second in everywhere.view(first).state_reason
    assert everywhere.view(elsewhere).state is RolloutState.RUNNING


def test_abort_keeps_what_is_done_and_calls_the_rest_back(everywhere):
    rollout = everywhere.create(2)
    first, second, third = everywhere.exposed(rollout)
    everywhere.end(first)
    everywhere.end(second, **FAILED)
    everywhere.act(rollout, "abort")
    everywhere.turn()
    assert everywhere.view(rollout).state is RolloutState.ABORTED
    assert [everywhere.wish(device)[1].version for device in (first, second, third)] == [2, 1, 1]


def test_pause_asks_nobody_further_until_resumed(everywhere):
    rollout = everywhere.create(2, phases=(PhaseSpec(3000), PhaseSpec(10_000)))
    everywhere.act(rollout, "pause")
    everywhere.settle_all(rollout)
    assert len(everywhere.exposed(rollout)) == 1
    everywhere.act(rollout, "resume")
    everywhere.turn()
    assert len(everywhere.exposed(rollout)) == 3


def test_an_action_on_an_old_revision_is_a_conflict(everywhere):
    rollout = everywhere.create(2)
    revision = everywhere.view(rollout).revision
    everywhere.act(rollout, "pause", revision)
    with pytest.raises(ConflictError, match="revision"):
        everywhere.act(rollout, "abort", revision)
    with pytest.raises(ConflictError, match="pause is not possible"):
        everywhere.act(rollout, "pause")
    with pytest.raises(NotFoundError):
        everywhere.act(rollout, "dance")


def test_approval_comes_before_the_start(everywhere):
    rollout = everywhere.create(2, approval=True)
    assert everywhere.view(rollout).state is RolloutState.WAITING_FOR_APPROVAL
    assert everywhere.exposed(rollout) == []
    everywhere.act(rollout, "approve")
    everywhere.turn()
    assert len(everywhere.exposed(rollout)) == 3


def test_an_old_event_does_not_reopen_what_a_report_has_settled(everywhere):
    rollout = everywhere.create(2)
    device = everywhere.exposed(rollout)[0]
    everywhere.end(device)
    revision, model = everywhere.wish(device)
    everywhere.write(note_update, device, UpdateEvent("main", UpdateState.SELF_TESTING, model.ref, revision))
    found = next(found for found in everywhere.view(rollout).assignments if found.device == device)
    assert found.settled
    everywhere.write(note_update, device, UpdateEvent("main", UpdateState.DOWNLOADING, model.ref, revision, attempt=2))
    found = next(found for found in everywhere.view(rollout).assignments if found.device == device)
    assert not found.settled


def test_an_interrupted_or_superseded_update_is_not_the_versions_fault(everywhere):
    rollout = everywhere.create(2)
    everywhere.settle_all(rollout, state=UpdateState.FAILED, reason=FailureReason.SUPERSEDED)
    assert not any(found.failed for found in everywhere.view(rollout).assignments)


def test_an_application_goes_along_and_stays(everywhere, studio):
    studio.publish_application("counter", 1, "digits")
    everywhere.settle_all(everywhere.create(2, application="counter"))
    everywhere.settle_all(everywhere.create(3))
    document = everywhere.read(find_desired, "pi-1")
    assert document.slots["main"].application.name == "counter"
    assert document.slots["main"].model.version == 3
    with pytest.raises(NotFoundError, match="counter"):
        everywhere.create(2, application="counter", application_version=9)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"version": 9}, NotFoundError, "not registered"),
        ({"devices": ("nobody",)}, NotFoundError, "nobody"),
        ({"phases": (PhaseSpec(5000), PhaseSpec(1000))}, RefusedError, "rising"),
        ({"phases": ()}, RefusedError, "rising"),
        ({"on_failure": "panic"}, RefusedError, "panic"),
        ({"control_version": 2}, RefusedError, "both version 2"),
    ],
)
def test_a_spec_that_can_not_be_is_refused_and_leaves_nothing(theatre, changes, error, words):
    with pytest.raises(error, match=words):
        theatre.create(**{"version": 2, **changes})
    assert theatre.read(lambda connection: connection.execute(select(schema.rollouts)).all()) == []


@pytest.mark.parametrize(("name", "better"), [("My Rollout!", "my-rollout"), ("", "digits-2"), ("-x", "x")])
def test_a_name_that_is_none_is_answered_with_one_that_would_do(client, fleet, studio, name, better):
    fleet("pi-1")
    studio.publish_version("digits", 2)
    response = studio.post("/v1/rollouts", RolloutSpec(name, "digits", 2))
    assert response.status_code == 400
    assert "a-z, 0-9 and -" in response.json()["error"]
    assert repr(better) in response.json()["advice"]


def test_a_version_below_min_version_is_not_rolled_out(theatre, studio):
    studio.publish_policy("digits", 3).raise_for_status()
    with pytest.raises(RefusedError, match="withdrawn"):
        theatre.create(2)


def test_every_decision_keeps_its_inputs_and_can_be_replayed(everywhere):
    rollout = everywhere.create(3)
    everywhere.settle_all(rollout, **FAILED)
    rows = everywhere.read(lambda c: c.execute(select(schema.decisions).where(schema.decisions.c.rollout == rollout)).all())
    assert [row.kind for row in rows] == ["gate_failed"]
    again = decide(decode(rows[0].inputs.encode(), RolloutFacts, "facts"))
    assert (again.trigger.value, again.reason) == (rows[0].kind, rows[0].reason)


def test_waiting_needs_no_write(everywhere):
    rollout = everywhere.create(2)
    assert not everywhere.read(partial(has_work), rollout, everywhere.clock())


def test_every_wish_is_signed_by_the_director_and_revisions_rise(everywhere):
    from contract.messages import DESIRED_PAYLOAD_TYPE
    from contract.signing import verify_payload

    everywhere.create(2)
    everywhere.create(3)
    revision, envelope = everywhere.read(find_envelope, "pi-1")
    payload = verify_payload(envelope, DESIRED_PAYLOAD_TYPE, {"director": everywhere.floor.keys.director.public})
    assert decode(payload, Desired, "wish").revision == revision == 3
    everywhere.write(set_fact, "unrelated", "1")


def test_after_a_start_running_rollouts_rest_until_the_devices_that_were_online_have_spoken(everywhere, clock):
    rollout = everywhere.create(2, phases=(PhaseSpec(3400), PhaseSpec(10_000)))
    for device in everywhere.exposed(rollout):
        everywhere.end(device)
    asked = everywhere.exposed(rollout)
    floor, start = everywhere.floor, Start(clock(), frozenset({"pi-1"}), frozenset({rollout}))
    parts = (floor.database, floor.conduct.director, clock)

    def go_on():
        return asyncio.run(may_go_on(floor.database, clock, start))

    assert not go_on()
    asyncio.run(conduct_once(*parts, start.rollouts))
    assert everywhere.exposed(rollout) == asked
    clock.now += HEARING_S
    assert go_on()
    clock.now -= HEARING_S - 1
    everywhere.write(_speak, "pi-1", clock())
    assert go_on()
    asyncio.run(conduct_once(*parts))
    assert everywhere.exposed(rollout) == list(DEVICES)


def _speak(connection, device, now):
    connection.execute(update(schema.presence).where(schema.presence.c.device == device).values(last_seen_at=now))


def test_a_restore_that_one_device_shows_pauses_what_runs_once(everywhere, clock):
    rollout = everywhere.create(2)
    everywhere.write(rise_above, everywhere.floor.conduct, "pi-1", 40)
    view = everywhere.view(rollout)
    assert (view.state, view.state_reason) == (RolloutState.PAUSED, REASON)
    assert {found.device: found.revision for found in view.assignments}["pi-1"] == everywhere.wish("pi-1")[0] == 41
    everywhere.act(rollout, "resume")
    clock.now += 1
    everywhere.write(rise_above, everywhere.floor.conduct, "pi-2", 50)
    assert everywhere.view(rollout).state is RolloutState.RUNNING
    everywhere.settle_all(rollout)
    assert everywhere.view(rollout).state is RolloutState.SUCCEEDED
    everywhere.write(rise_above, everywhere.floor.conduct, "pi-3", 1)
    assert everywhere.wish("pi-3")[0] > 1


def test_what_shadow_runs_found_is_told_while_it_is_the_devices_last_update(everywhere):
    policy = UpdatePolicy(shadow_s=60.0)
    rollout = everywhere.create(2, policy=policy)
    blocks = tuple(PairedBlock(50, 2) for _ in range(6))
    paired = PairedResult(300, 12, (Disagreement("7", "1", 12),), block_s=3.0, blocks=blocks)
    for device in everywhere.exposed(rollout)[:2]:
        revision, model = everywhere.wish(device)
        report = UpdateReport(UpdateState.ACTIVATING, model.ref, revision, detail=describe_pairs(paired), paired=paired)
        everywhere.write(note_update, device, report)
        everywhere.report(device, report)
    view = everywhere.view(rollout)
    assert view.paired.text == "in the shadow on 2 devices: disagreed on 4.0 % of 600 pairs: 7→1 24 times (95 %: 4.0 to 4.0 %)"
    assert sorted(found.detail for found in view.assignments) == ["", *["disagreed on 4.0 % of 300 pairs: 7→1 12 times"] * 2]
    assert everywhere.wish(device)[1].rollout == rollout
    assert everywhere.read(find_desired, device).policy == policy
    assert everywhere.read(list_rollouts, 0.0)[0].paired == view.paired
    everywhere.report(device)
    assert everywhere.view(rollout).paired.devices == 1
    assert everywhere.view(everywhere.create(3)).paired is None, "no shadow was asked for"


def test_a_version_that_disagrees_too_often_counts_as_a_failure_of_the_version(everywhere):
    rollout = everywhere.create(2, gates=GateSpec(max_failures=1), policy=UpdatePolicy(shadow_s=60.0))
    everywhere.settle_all(rollout, state=UpdateState.FAILED, reason=FailureReason.SHADOW_DISAGREEMENT)
    view = everywhere.view(rollout)
    assert view.state in {RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK}
    assert {found.reason for found in view.assignments} == {"shadow_disagreement"}
