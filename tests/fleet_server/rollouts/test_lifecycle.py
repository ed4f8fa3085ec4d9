from contract.rest import ROLLOUT_ACTIONS
from contract.states import FINAL_ROLLOUT_STATES, RolloutState
from fleet_server.rollouts.lifecycle import ACTIVE, TRANSITIONS, Trigger, first_triggers, next_state, triggers_from
from tests.fleet_server.rollouts.fleets import make_spec


def test_nothing_leaves_a_final_state():
    for state in FINAL_ROLLOUT_STATES:
        assert triggers_from(state) == []
        assert all(next_state(state, trigger) is None for trigger in Trigger)


def test_every_other_state_is_reached_left_and_can_be_aborted():
    reached = {RolloutState.DRAFT, *TRANSITIONS.values()}
    assert reached == set(RolloutState)
    for state in set(RolloutState) - FINAL_ROLLOUT_STATES:
        assert next_state(state, Trigger.ABORT) is RolloutState.ABORTED


def test_every_state_leads_to_an_end():
    for start in RolloutState:
        seen, todo = set(), [start]
        while todo:
            state = todo.pop()
            seen.add(state)
            todo += [after for (before, _), after in TRANSITIONS.items() if before is state and after not in seen]
        assert seen & FINAL_ROLLOUT_STATES


def test_every_action_of_an_operator_is_a_trigger():
    for action in ROLLOUT_ACTIONS:
        assert any(trigger is Trigger(action) for _, trigger in TRANSITIONS)


def test_rules_apply_in_active_states_only():
    assert {state for state, trigger in TRANSITIONS if trigger is Trigger.SUPERSEDE} == ACTIVE


def test_a_draft_waits_for_approval_or_starts():
    assert first_triggers(make_spec(approval=True)) == [Trigger.ASK_APPROVAL]
    assert first_triggers(make_spec(start=False)) == [Trigger.SUBMIT]
    assert first_triggers(make_spec()) == [Trigger.SUBMIT, Trigger.START]
