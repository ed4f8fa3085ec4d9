"""What waiting does to an update, by the pure rules."""

import pytest

from contract.states import FailureReason, UpdateState
from edge_agent.update.events import Cancel, DeadlinePassed, Record, Restarted, Slot, Succeeded, Waits, Wished, Work
from edge_agent.update.machine import MAX_ATTEMPTS, advance, next_is_activation, repaired
from edge_agent.update.records import Update
from edge_agent.update.table import TABLE, Outcome
from tests.edge_agent.update.examples import running, wish

S = UpdateState
TEXT = "waits for its maintenance window, opens 2026-06-11 02:00 UTC"
BEFORE_ACTIVATION = (S.QUEUED, S.PREFLIGHT, S.DOWNLOADING, S.VERIFYING, S.STAGED, S.SELF_TESTING)


def arrive(state: UpdateState) -> Slot:
    slot, _ = advance(running(1), Wished(wish(2, 5)))
    for step in BEFORE_ACTIVATION[: BEFORE_ACTIVATION.index(state)]:
        slot, _ = advance(slot, Succeeded(step))
    return slot


def update_of(slot: Slot) -> Update:
    assert slot.update is not None
    return slot.update


@pytest.mark.parametrize("state", BEFORE_ACTIVATION)
def test_a_wait_is_recorded_once_and_ends_with_the_state(state: UpdateState) -> None:
    slot, actions = advance(arrive(state), Waits(state, TEXT))
    assert actions == (Record(update_of(slot), state),)
    assert (update_of(slot).state, update_of(slot).waits_for) == (state, TEXT)
    assert advance(slot, Waits(state, TEXT)) == (slot, ())
    slot, _ = advance(slot, Succeeded(state))
    assert update_of(slot).waits_for == ""


def test_the_wait_of_a_state_that_has_passed_is_ignored() -> None:
    slot = arrive(S.STAGED)
    assert advance(slot, Waits(S.QUEUED, TEXT)) == (slot, ())


def test_restarts_while_it_waits_count_no_attempt_but_those_before_do() -> None:
    slot = arrive(S.SELF_TESTING)
    for _ in range(3 * MAX_ATTEMPTS):
        slot, _ = advance(slot, Waits(S.SELF_TESTING, TEXT))
        slot, actions = advance(repaired(slot), Restarted())
        assert (update_of(slot).state, update_of(slot).attempt, update_of(slot).waits_for) == (S.QUEUED, 1, "")
        assert isinstance(actions[-1], Work)
        for step in BEFORE_ACTIVATION[:-1]:
            slot, _ = advance(slot, Succeeded(step))
    slot, _ = advance(repaired(slot), Restarted())
    assert update_of(slot).attempt == 2


def test_a_newer_wish_supersedes_one_that_waits() -> None:
    slot, _ = advance(arrive(S.SELF_TESTING), Waits(S.SELF_TESTING, TEXT))
    slot, actions = advance(slot, Wished(wish(3, 6)))
    assert isinstance(actions[0], Cancel)
    assert (update_of(slot).state, update_of(slot).wish.model.version, update_of(slot).waits_for) == (S.QUEUED, 3, "")


def test_the_same_version_with_another_policy_is_taken_over_while_it_waits() -> None:
    slot, _ = advance(arrive(S.SELF_TESTING), Waits(S.SELF_TESTING, TEXT))
    slot, actions = advance(slot, Wished(wish(2, 6)))
    assert actions == (Record(update_of(slot), S.SELF_TESTING),)
    assert (update_of(slot).wish.revision, update_of(slot).waits_for) == (6, TEXT)


def test_no_wait_leads_anywhere_but_back_to_the_queue() -> None:
    assert {row[Outcome.RESTARTED_WAITING] for row in TABLE.values() if Outcome.RESTARTED_WAITING in row} == {S.QUEUED}
    assert [state for state, row in TABLE.items() if Outcome.RESTARTED_WAITING in row] == [S.SELF_TESTING, S.SHADOWING]


def test_only_the_state_before_activating_leads_to_activation() -> None:
    assert [state for state in BEFORE_ACTIVATION if next_is_activation(update_of(arrive(state)))] == [S.SELF_TESTING]


def test_a_deadline_that_passes_all_the_same_ends_the_wait() -> None:
    slot, _ = advance(arrive(S.DOWNLOADING), Waits(S.DOWNLOADING, TEXT))
    slot, _ = advance(slot, DeadlinePassed(S.DOWNLOADING))
    assert (update_of(slot).state, update_of(slot).reason, update_of(slot).waits_for) == (S.FAILED, FailureReason.DOWNLOAD, "")
