"""The update rules: the table, one example per way through it, and a kill in every state."""

import msgspec
import pytest

from contract.messages import UpdatePolicy
from contract.pairs import Disagreement, PairedResult
from contract.states import FINAL_UPDATE_STATES, FailureReason, UpdateState
from edge_agent.update.events import (
    Cancel,
    DeadlinePassed,
    Event,
    Failed,
    Quarantine,
    Record,
    Release,
    Restarted,
    Slot,
    Succeeded,
    Wished,
    Work,
)
from edge_agent.update.machine import MAX_ATTEMPTS, advance, repaired, version_to_boot
from edge_agent.update.records import Quarantined, Update, Wish
from edge_agent.update.table import TABLE, Outcome, deadline_s
from tests.edge_agent.update.examples import digest_of, installed, running, wish

S = UpdateState
IN_SHADOW = UpdatePolicy(probation_s=5.0, shadow_s=60.0)
PAIRED = PairedResult(pairs=1204, disagreements=37, disagreed=(Disagreement("7", "1", 21), Disagreement("1", "7", 16)))
WORKING = [state for state in TABLE if state not in FINAL_UPDATE_STATES]
BEFORE_ACTIVATION = [S.QUEUED, S.PREFLIGHT, S.DOWNLOADING, S.VERIFYING, S.STAGED, S.SELF_TESTING, S.SHADOWING]
ORDER = [*BEFORE_ACTIVATION, S.ACTIVATING, S.PROBATION, S.COMMITTING]


def through(slot: Slot, *events: Event) -> Slot:
    for event in events:
        slot, _ = advance(slot, event)
    return slot


def arrive(state: UpdateState, slot: Slot | None = None, version: int = 2, revision: int = 5) -> Slot:
    """A slot whose update to `version` has come to `state`."""
    slot = through(slot or running(), Wished(wish(version, revision, policy=IN_SHADOW)))
    if state is S.ROLLING_BACK:
        return through(arrive(S.PROBATION, slot), Failed(S.PROBATION, FailureReason.PROBATION_ERRORS, "bad"))
    for step in ORDER[: ORDER.index(state)]:
        slot = through(slot, Succeeded(step, variant="onnx-float32" if step is S.SELF_TESTING else None))
    assert slot.update is not None
    assert slot.update.state is state
    return slot


def power_cut(slot: Slot) -> Slot:
    """What the disk says after a cut: the wish that waited in memory is gone."""
    return repaired(msgspec.structs.replace(slot, next=None))


def state_of(slot: Slot) -> tuple[UpdateState, FailureReason | None]:
    assert slot.update is not None
    return slot.update.state, slot.update.reason


def recorded(actions: tuple[object, ...]) -> list[UpdateState]:
    return [action.update.state for action in actions if isinstance(action, Record)]


def test_every_working_state_says_what_follows_success_failure_lateness_and_a_restart() -> None:
    for state in WORKING:
        assert {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LATE} <= set(TABLE[state]), state
        assert Outcome.RESTARTED in TABLE[state] or {Outcome.RETRIED, Outcome.GIVEN_UP} <= set(TABLE[state]), state
        assert deadline_s(Update(state, wish(1, 1))) > 0
    assert set(TABLE) == set(UpdateState)
    assert all(not TABLE[state] for state in FINAL_UPDATE_STATES)


def test_a_good_version_goes_through_all_states_and_is_committed() -> None:
    slot = through(arrive(S.COMMITTING), Succeeded(S.COMMITTING))
    assert state_of(slot) == (S.DONE, None)
    assert slot.current == slot.last_known_good == installed(2)


def test_the_current_version_changes_on_activation_and_last_known_good_only_on_commit() -> None:
    activating = arrive(S.ACTIVATING)
    assert activating.current == installed(1)
    probation = through(activating, Succeeded(S.ACTIVATING))
    assert (probation.current, probation.last_known_good) == (installed(2), installed(1))


def test_a_wish_for_what_runs_is_done_at_once() -> None:
    slot, actions = advance(running(2), Wished(wish(2, 9)))
    assert recorded(actions) == [S.DONE]
    assert advance(slot, Wished(wish(2, 9)))[1] == ()


def test_the_same_wish_again_changes_nothing() -> None:
    slot = arrive(S.DOWNLOADING)
    assert advance(slot, Wished(wish(2, 5, policy=IN_SHADOW))) == (slot, ())


def test_a_newer_revision_of_the_same_version_is_taken_over_without_beginning_again() -> None:
    slot, actions = advance(arrive(S.DOWNLOADING), Wished(wish(2, 6)))
    assert state_of(slot) == (S.DOWNLOADING, None)
    assert recorded(actions) == [S.DOWNLOADING]
    assert slot.update is not None
    assert slot.update.wish.revision == 6


@pytest.mark.parametrize("state", BEFORE_ACTIVATION)
def test_superseded_in_each_state_before_activation(state: UpdateState) -> None:
    slot, actions = advance(arrive(state), Wished(wish(3, 6)))
    assert isinstance(actions[0], Cancel)
    assert recorded(actions) == [S.FAILED, S.QUEUED]
    assert state_of(slot) == (S.QUEUED, None)
    assert slot.current == installed(1)


def test_going_back_to_the_version_before_while_in_probation_rolls_back_at_once() -> None:
    slot, actions = advance(arrive(S.PROBATION), Wished(wish(1, 6)))
    assert state_of(slot) == (S.ROLLING_BACK, FailureReason.SUPERSEDED)
    assert isinstance(actions[0], Cancel)
    slot, actions = advance(slot, Succeeded(S.ROLLING_BACK))
    assert recorded(actions) == [S.ROLLED_BACK, S.DONE]
    assert slot.current == installed(1)
    assert slot.quarantine == {}


def test_another_wish_while_activating_waits_until_the_swap_is_whole() -> None:
    slot, actions = advance(arrive(S.ACTIVATING), Wished(wish(1, 6)))
    assert actions == ()
    slot, actions = advance(slot, Succeeded(S.ACTIVATING))
    assert recorded(actions) == [S.PROBATION, S.ROLLING_BACK]


def test_another_wish_while_committing_begins_after_the_commit() -> None:
    slot, _ = advance(arrive(S.COMMITTING), Wished(wish(3, 6)))
    slot, actions = advance(slot, Succeeded(S.COMMITTING))
    assert recorded(actions) == [S.DONE, S.QUEUED]
    assert slot.last_known_good == installed(2)


def test_the_version_that_was_rolled_back_because_superseded_may_come_again() -> None:
    slot = through(arrive(S.PROBATION), Wished(wish(1, 6)), Wished(wish(2, 7)))
    slot, actions = advance(slot, Succeeded(S.ROLLING_BACK))
    assert recorded(actions) == [S.ROLLED_BACK, S.QUEUED]


@pytest.mark.parametrize("state", WORKING)
def test_error_in_each_state(state: UpdateState) -> None:
    slot, actions = advance(arrive(state), Failed(state, FailureReason.INTERNAL, "it broke"))
    live = state in {S.ACTIVATING, S.PROBATION, S.COMMITTING}
    assert state_of(slot)[0] is (S.ROLLING_BACK if live else S.ROLLED_BACK if state is S.ROLLING_BACK else S.FAILED)
    assert slot.current == slot.last_known_good == installed(1)
    assert not any(isinstance(action, Quarantine) for action in actions) or state is S.ROLLING_BACK


@pytest.mark.parametrize("state", WORKING)
def test_hang_in_each_state_ends_at_the_deadline(state: UpdateState) -> None:
    slot, _ = advance(arrive(state), DeadlinePassed(state))
    assert slot.update is not None
    assert slot.update.is_final or slot.update.state is S.ROLLING_BACK
    assert slot.current == installed(1)


def test_a_late_result_of_another_state_changes_nothing() -> None:
    slot = arrive(S.VERIFYING)
    assert advance(slot, Succeeded(S.DOWNLOADING)) == (slot, ())
    assert advance(slot, Failed(S.PROBATION, FailureReason.INTERNAL, "")) == (slot, ())


def test_a_version_at_fault_is_quarantined_and_refused_until_a_newer_revision_forces_it() -> None:
    slot, actions = advance(arrive(S.SELF_TESTING), Failed(S.SELF_TESTING, FailureReason.ACCEPTANCE_BELOW_MINIMUM, "30 %"))
    assert [action.digest for action in actions if isinstance(action, Quarantine)] == [digest_of(2)]
    refused = through(slot, Wished(wish(2, 6)))
    assert state_of(refused) == (S.FAILED, FailureReason.QUARANTINED)
    assert state_of(through(slot, Wished(wish(2, 5, force=True))))[0] is S.FAILED
    assert state_of(through(slot, Wished(wish(2, 6, force=True)))) == (S.QUEUED, None)


def test_a_forced_version_that_proves_itself_is_released() -> None:
    slot = through(arrive(S.SELF_TESTING), Failed(S.SELF_TESTING, FailureReason.TIMED_OUT, ""), Wished(wish(2, 6, force=True)))
    for step in ORDER[:-1]:
        slot = through(slot, Succeeded(step))
    slot, actions = advance(slot, Succeeded(S.COMMITTING))
    assert Release(digest_of(2)) in actions
    assert slot.quarantine == {}


def test_of_a_new_application_on_a_proven_model_only_the_application_is_to_blame() -> None:
    slot = through(running(), Wished(wish(1, 5, application=1, policy=IN_SHADOW)))
    for step in ORDER[: ORDER.index(S.PROBATION)]:
        slot = through(slot, Succeeded(step, variant="onnx-float32" if step is S.SELF_TESTING else None))
    slot = through(slot, Failed(S.PROBATION, FailureReason.PROBATION_CRASHES, "three times"))
    assert list(slot.quarantine) == [wish(1, 5, application=1).digests[1]]
    assert state_of(through(slot, Succeeded(S.ROLLING_BACK), Wished(wish(1, 6)))) == (S.DONE, None)


def test_taking_the_application_away_from_a_proven_model_blames_nobody() -> None:
    slot = Slot(current=installed(1, application=1), last_known_good=installed(1, application=1))
    slot = through(slot, Wished(wish(1, 5)), Failed(S.QUEUED, FailureReason.TIMED_OUT, ""))
    assert slot.quarantine == {}


def test_of_a_new_model_with_the_same_application_only_the_model_is_to_blame() -> None:
    slot = Slot(current=installed(1, application=1), last_known_good=installed(1, application=1))
    slot = through(slot, Wished(wish(2, 5, application=1)))
    for step in ORDER[: ORDER.index(S.SELF_TESTING)]:
        slot = through(slot, Succeeded(step))
    slot = through(slot, Failed(S.SELF_TESTING, FailureReason.MODEL_CRASHED, ""))
    assert list(slot.quarantine) == [digest_of(2)]
    assert state_of(through(slot, Wished(wish(1, 6, application=1)))) == (S.DONE, None)


def test_a_first_version_that_fails_leaves_nothing_behind() -> None:
    slot = through(arrive(S.PROBATION, Slot()), Failed(S.PROBATION, FailureReason.PROBATION_ERRORS, ""), Succeeded(S.ROLLING_BACK))
    assert state_of(slot) == (S.ROLLED_BACK, FailureReason.PROBATION_ERRORS)
    assert slot.current is None


@pytest.mark.parametrize("state", [S.QUEUED, S.PREFLIGHT, S.DOWNLOADING, S.VERIFYING, S.STAGED])
def test_killed_in_a_state_before_the_self_test_takes_the_update_up_again(state: UpdateState) -> None:
    slot = power_cut(arrive(state))
    assert version_to_boot(slot) == installed(1)
    slot, actions = advance(slot, Restarted())
    assert slot.update is not None
    assert (slot.update.state, slot.update.attempt) == (S.QUEUED, 1)
    assert isinstance(actions[-1], Work)


@pytest.mark.parametrize("state", [S.SELF_TESTING, S.SHADOWING])
def test_killed_while_the_candidates_code_ran_keeps_the_version_and_counts_the_attempt(state: UpdateState) -> None:
    slot = power_cut(arrive(state))
    assert version_to_boot(slot) == installed(1)
    slot, actions = advance(slot, Restarted())
    assert state_of(slot) == (S.QUEUED, FailureReason.INTERRUPTED)
    assert slot.update is not None
    assert slot.update.attempt == 2
    assert not any(isinstance(action, Quarantine) for action in actions)


@pytest.mark.parametrize("state", [S.ACTIVATING, S.PROBATION])
@pytest.mark.parametrize("pointer_moved", [False, True])
def test_killed_in_activating_and_probation_serves_the_last_known_good_first(state: UpdateState, pointer_moved: bool) -> None:
    slot = power_cut(msgspec.structs.replace(arrive(state), current=installed(2 if pointer_moved else 1)))
    assert version_to_boot(slot) == installed(1)
    slot, actions = advance(slot, Restarted())
    assert state_of(slot) == (S.ROLLING_BACK, FailureReason.INTERRUPTED)
    assert slot.current == installed(1)
    slot, actions = advance(slot, Succeeded(S.ROLLING_BACK))
    assert slot.update is not None
    assert (slot.update.state, slot.update.attempt) == (S.QUEUED, 2)
    assert not any(isinstance(action, Quarantine) for action in actions)


@pytest.mark.parametrize("state", [S.SELF_TESTING, S.SHADOWING, S.ACTIVATING, S.PROBATION])
def test_killed_in_the_same_state_three_times_gives_up_without_quarantine(state: UpdateState) -> None:
    slot = through(running(), Wished(wish(2, 5, policy=IN_SHADOW)))
    for _ in range(MAX_ATTEMPTS):
        for step in ORDER[: ORDER.index(state)]:
            slot = through(slot, Succeeded(step, variant="onnx-float32"))
        slot = through(power_cut(slot), Restarted(), Succeeded(S.ROLLING_BACK))
    assert state_of(slot) == (S.FAILED, FailureReason.INTERRUPTED)
    assert slot.quarantine == {}
    assert slot.current == installed(1)


def test_killed_in_committing_commits_again() -> None:
    slot = power_cut(arrive(S.COMMITTING))
    assert version_to_boot(slot) == installed(2)
    slot, actions = advance(slot, Restarted())
    assert actions == (Work(slot.update),)
    assert state_of(through(slot, Succeeded(S.COMMITTING))) == (S.DONE, None)


def test_killed_in_rolling_back_rolls_back_again_with_the_same_reason_and_quarantine() -> None:
    slot = msgspec.structs.replace(power_cut(arrive(S.ROLLING_BACK)), quarantine={})
    assert version_to_boot(slot) == installed(1)
    slot, actions = advance(slot, Restarted())
    assert [type(action) for action in actions] == [Quarantine, Work]
    assert state_of(through(slot, Succeeded(S.ROLLING_BACK))) == (S.ROLLED_BACK, FailureReason.PROBATION_ERRORS)


def test_killed_between_the_journal_and_the_quarantine_file_loses_no_quarantine() -> None:
    slot = through(arrive(S.SELF_TESTING), Failed(S.SELF_TESTING, FailureReason.GOLDEN_MISMATCH, "0.3"))
    slot, actions = advance(msgspec.structs.replace(slot, quarantine={}), Restarted())
    assert [type(action) for action in actions] == [Quarantine]
    assert list(slot.quarantine) == [digest_of(2)]


def test_after_an_interruption_that_ended_well_no_reason_stays() -> None:
    slot = through(power_cut(arrive(S.PROBATION)), Restarted(), Succeeded(S.ROLLING_BACK))
    for step in ORDER:
        slot = through(slot, Succeeded(step, variant="onnx-float32" if step is S.SELF_TESTING else None))
    assert state_of(slot) == (S.DONE, None)
    assert slot.update is not None
    assert slot.update.attempt == 2


def test_a_lost_pointer_to_the_last_known_good_is_restored_from_the_journal() -> None:
    assert repaired(msgspec.structs.replace(running(1), last_known_good=None)) == running(1)


def test_a_version_that_was_never_committed_serves_where_nothing_else_is_left_and_is_tried_anew() -> None:
    slot = repaired(Slot(current=installed(1)))
    assert slot.current == installed(1)
    assert state_of(through(slot, Restarted(), Wished(wish(1, 5)))) == (S.QUEUED, None)


def test_killed_in_the_probation_of_the_first_version_serves_nothing_until_it_has_proven_itself() -> None:
    assert power_cut(arrive(S.PROBATION, Slot())).current is None


def test_a_version_that_was_lost_from_the_disk_is_fetched_again_for_the_same_revision() -> None:
    slot = repaired(Slot(update=Update(S.DONE, wish(2, 5), variant="onnx-float32")))
    slot, actions = advance(slot, Wished(wish(2, 5)))
    assert recorded(actions) == [S.QUEUED]


def test_a_committed_version_counts_whatever_the_other_pointer_says() -> None:
    done = Update(S.DONE, wish(2, 5), variant="onnx-float32")
    for good in (None, installed(1)):
        slot = repaired(Slot(current=installed(2), last_known_good=good, update=done))
        assert (slot.current, slot.last_known_good) == (installed(2), installed(2))


def test_what_failed_is_not_started_again_where_nothing_else_was_committed() -> None:
    failed = Update(S.ROLLED_BACK, wish(1, 5), variant="onnx-float32", reason=FailureReason.PROBATION_ERRORS)
    assert version_to_boot(Slot(current=installed(1), update=failed)) is None
    quarantine = {digest_of(1): Quarantined(5, FailureReason.PROBATION_ERRORS)}
    assert version_to_boot(Slot(current=installed(1), quarantine=quarantine)) is None
    assert version_to_boot(Slot(current=installed(1))) == installed(1)


def test_a_wish_without_shadow_goes_from_the_self_test_to_the_activation() -> None:
    slot = through(running(), Wished(wish(2, 5)))
    for step in ORDER[: ORDER.index(S.SELF_TESTING)]:
        slot = through(slot, Succeeded(step))
    slot, actions = advance(slot, Succeeded(S.SELF_TESTING, variant="onnx-float32"))
    assert recorded(actions) == [S.ACTIVATING]
    assert slot.update is not None
    assert slot.update.paired is None


def test_what_the_shadow_run_found_stays_with_the_update_in_words_and_numbers() -> None:
    slot = through(arrive(S.SHADOWING), Succeeded(S.SHADOWING, paired=PAIRED))
    for step in (S.ACTIVATING, S.PROBATION, S.COMMITTING):
        assert slot.update is not None
        assert (slot.update.state, slot.update.paired) == (step, PAIRED)
        assert slot.update.detail == "disagreed on 3.1 % of 1,204 pairs: 7→1 21 times, 1→7 16 times"
        slot = through(slot, Succeeded(step))
    assert slot.update is not None
    assert (slot.update.state, slot.update.paired) == (S.DONE, PAIRED)


def test_a_version_that_disagrees_too_often_is_refused_with_its_pairs_and_nothing_that_serves_has_changed() -> None:
    slot = arrive(S.SHADOWING)
    assert slot.current == slot.last_known_good == installed(1)
    slot = through(slot, Failed(S.SHADOWING, FailureReason.SHADOW_DISAGREEMENT, "3.1 %", PAIRED))
    assert state_of(slot) == (S.FAILED, FailureReason.SHADOW_DISAGREEMENT)
    assert slot.update is not None
    assert slot.update.paired == PAIRED
    assert list(slot.quarantine) == [digest_of(2)]
    assert slot.current == slot.last_known_good == installed(1)


def test_too_few_pairs_say_nothing_about_the_version() -> None:
    slot = through(arrive(S.SHADOWING), Failed(S.SHADOWING, FailureReason.SHADOW_TOO_FEW_PAIRS, "3 of 50"))
    assert state_of(slot)[0] is S.FAILED
    assert slot.quarantine == {}


def test_a_shadow_run_that_is_begun_again_forgets_the_pairs_of_the_one_before() -> None:
    slot = through(arrive(S.SHADOWING), Succeeded(S.SHADOWING, paired=PAIRED))
    slot = through(power_cut(slot), Restarted(), Succeeded(S.ROLLING_BACK))
    assert slot.update is not None
    assert (slot.update.state, slot.update.attempt, slot.update.paired) == (S.QUEUED, 2, None)


def test_a_digest_that_was_quarantined_meanwhile_does_not_leave_the_shadow() -> None:
    entry = Quarantined(4, FailureReason.GOLDEN_MISMATCH, "in another slot")
    slot = msgspec.structs.replace(arrive(S.SHADOWING), quarantine={digest_of(2): entry})
    assert state_of(through(slot, Succeeded(S.SHADOWING, paired=PAIRED))) == (S.FAILED, FailureReason.QUARANTINED)


def brought(version: int, revision: int) -> Wish:
    return msgspec.structs.replace(wish(version, revision), package=f"{version:064x}.eyelet-bundle")


def with_bundle_installed(version: int, revision: int) -> Slot:
    done = Update(S.DONE, brought(version, revision), variant="onnx-float32")
    return Slot(current=installed(version), last_known_good=installed(version), update=done)


def test_what_a_bundle_brought_is_replaced_by_newer_wishes_of_the_fleet_alone() -> None:
    slot = with_bundle_installed(3, 8)
    assert advance(slot, Wished(wish(2, 7))) == (slot, ()), "wished for before the stick came"
    newer, _ = advance(slot, Wished(wish(2, 8)))
    assert newer.update is not None
    assert newer.update.state is S.QUEUED


def test_a_bundle_that_failed_does_not_stand_in_the_fleets_way() -> None:
    failed = msgspec.structs.replace(running(1), update=Update(S.FAILED, brought(3, 8), reason=FailureReason.NOT_TRUSTED))
    slot, _ = advance(failed, Wished(wish(2, 7)))
    assert slot.update is not None
    assert slot.update.state is S.QUEUED


def test_a_bundle_that_is_brought_again_is_tried_again() -> None:
    failed = msgspec.structs.replace(running(1), update=Update(S.FAILED, brought(3, 8), reason=FailureReason.NOT_TRUSTED))
    slot, _ = advance(failed, Wished(brought(3, 8)))
    assert slot.update is not None
    assert slot.update.state is S.QUEUED


def test_what_a_step_found_out_is_said_with_the_next() -> None:
    slot = msgspec.structs.replace(running(1), update=Update(S.DOWNLOADING, wish(2, 2)))
    slot, _ = advance(slot, Succeeded(S.DOWNLOADING, detail="1 file came as a patch"))
    assert slot.update is not None
    assert (slot.update.state, slot.update.detail) == (S.VERIFYING, "1 file came as a patch")
