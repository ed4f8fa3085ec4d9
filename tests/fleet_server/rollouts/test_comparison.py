import random
import statistics

import pytest

from contract.states import ComparisonVerdict
from fleet_server.rollouts.comparison import (
    boundary_factor,
    compare_arms,
    confidence_interval,
    detectable_difference,
    student_quantile,
)


def draw(random_, count, mean, spread=0.2):
    return [random_.gauss(mean, spread) for _ in range(count)]


def test_students_quantiles_are_those_of_the_tables():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042}
    for freedom, expected in table.items():
        assert student_quantile(freedom) == pytest.approx(expected, rel=1e-2)


def test_equal_arms_looked_at_after_each_device_hardly_ever_differ():
    random_ = random.Random(3)
    alarms = 0
    for _ in range(200):
        control, treatment = draw(random_, 30, 1.0), draw(random_, 30, 1.0)
        for _ in range(40):
            interval = confidence_interval(control, treatment, planned=140)
            if interval.low > 0 or interval.high < 0:
                alarms += 1
                break
            control.append(random_.gauss(1.0, 0.2))
            treatment.append(random_.gauss(1.0, 0.2))
    assert alarms / 200 <= 0.05


def test_a_real_difference_is_found_with_its_direction():
    random_ = random.Random(3)
    slow = compare_arms(draw(random_, 60, 1.0), draw(random_, 60, 1.5), planned=120, margin=0.1)
    fast = compare_arms(draw(random_, 60, 1.5), draw(random_, 60, 1.0), planned=120, margin=0.1)
    assert slow.verdict is ComparisonVerdict.CONTROL_BETTER
    assert slow.low > 0
    assert fast.verdict is ComparisonVerdict.TREATMENT_BETTER
    assert fast.high < 0


def test_a_difference_within_the_margin_is_no_worse():
    random_ = random.Random(3)
    verdict = compare_arms(draw(random_, 200, 1.0), draw(random_, 200, 1.0), planned=400, margin=0.5)
    assert verdict.verdict is ComparisonVerdict.NO_WORSE


def test_few_devices_are_inconclusive_and_say_what_they_could_see():
    verdict = compare_arms([1.0], [1.0, 1.2], planned=60, margin=0.5)
    assert verdict.verdict is ComparisonVerdict.INCONCLUSIVE
    assert verdict.text.startswith("inconclusive: 1 and 2 devices; this fleet can detect no difference under ")
    assert verdict.detectable_difference > 1
    assert "accuracy can not be judged" in verdict.text


def test_one_device_per_arm_can_detect_nothing_at_all():
    verdict = compare_arms([1.0], [5.0], planned=60, margin=0.5)
    assert verdict.verdict is ComparisonVerdict.INCONCLUSIVE
    assert verdict.detectable_difference is None
    assert "no difference at all" in verdict.text


@pytest.mark.parametrize("arms", [([], []), ([1.0], []), ([], [1.0, 2.0, 3.0])])
def test_missing_data_is_inconclusive(arms):
    assert compare_arms(*arms, planned=60, margin=0.5).verdict is ComparisonVerdict.INCONCLUSIVE


def test_more_devices_detect_smaller_differences():
    random_ = random.Random(3)
    few = [detectable_difference(draw(random_, 3, 1.0), draw(random_, 3, 1.0), 60) for _ in range(50)]
    many = [detectable_difference(draw(random_, 25, 1.0), draw(random_, 25, 1.0), 60) for _ in range(50)]
    assert statistics.median(many) < statistics.median(few) / 2


def test_the_boundary_is_wider_than_a_single_look_and_tightest_near_its_plan():
    assert all(boundary_factor(units, 100) > 1.96 for units in (10, 100, 1000))
    assert boundary_factor(100, 100) < min(boundary_factor(5, 100), boundary_factor(100_000, 100))
