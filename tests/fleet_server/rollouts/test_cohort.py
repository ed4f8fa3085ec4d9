from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from contract.rest import PhaseSpec
from fleet_server.rollouts.cohort import Weights, plan_cohort
from fleet_server.rollouts.facts import CONTROL, TREATMENT

names = st.text("abcdef0123456789", min_size=1, max_size=6)
fleets = st.dictionaries(names, st.sampled_from(["pi", "jetson", "x86"]), min_size=1, max_size=60)
shares = st.lists(st.integers(1, 10_000), min_size=1, max_size=4, unique=True).map(sorted)
PHASES = (PhaseSpec(1000), PhaseSpec(5000), PhaseSpec(10_000))


@settings(max_examples=60, deadline=None)
@given(fleets, shares, st.integers(1, 5), st.integers(1, 5))
def test_every_device_gets_one_place_and_prefixes_grow_with_the_shares(classes, shares, control, treatment):
    places = plan_cohort(classes, "salt", [PhaseSpec(share) for share in shares], Weights(control, treatment))
    assert sorted(place.device for place in places) == sorted(classes)
    assert [place.position for place in places] == list(range(len(classes)))
    assert [place.phase for place in places] == sorted(place.phase for place in places)
    for number, share in enumerate(shares):
        exposed = sum(place.phase <= number for place in places)
        assert exposed == max(1, -(-len(classes) * share // 10_000))


@settings(max_examples=60, deadline=None)
@given(fleets, st.integers(1, 5), st.integers(1, 5))
def test_arms_have_the_sizes_of_their_weights(classes, control, treatment):
    places = plan_cohort(classes, "salt", PHASES, Weights(control, treatment))
    treated = sum(place.arm == TREATMENT for place in places)
    assert abs(treated - len(classes) * treatment / (control + treatment)) <= 0.5


def test_three_devices_at_weights_one_to_two_are_one_and_two():
    for salt in "abcdefgh":
        places = plan_cohort(dict.fromkeys(("a", "b", "c"), "pi"), salt, PHASES, Weights(1, 2))
        assert Counter(place.arm for place in places) == {CONTROL: 1, TREATMENT: 2}


def test_without_control_everything_is_treatment():
    places = plan_cohort(dict.fromkeys("abcdef", "pi"), "salt", PHASES, Weights(0, 1))
    assert {place.arm for place in places} == {TREATMENT}


def test_the_order_is_sticky_and_another_salt_gives_another():
    classes = {f"d-{i}": "pi" for i in range(50)}
    order = [place.device for place in plan_cohort(classes, "one", PHASES, Weights(0, 1))]
    again = [place.device for place in plan_cohort(dict(reversed(classes.items())), "one", PHASES, Weights(0, 1))]
    other = [place.device for place in plan_cohort(classes, "two", PHASES, Weights(0, 1))]
    assert order == again
    assert order != other


def test_each_phase_holds_its_share_of_every_hardware_class():
    classes = {f"pi-{i}": "pi" for i in range(80)} | {f"jetson-{i}": "jetson" for i in range(20)}
    places = plan_cohort(classes, "salt", PHASES, Weights(1, 1))
    first = Counter(classes[place.device] for place in places if place.phase == 0)
    assert first == {"pi": 8, "jetson": 2}
    arms = Counter((classes[place.device], place.arm) for place in places)
    assert arms["jetson", CONTROL] == 10
