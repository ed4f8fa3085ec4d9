import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_server.rollouts.failure_evidence import failures_to_stop, log_e_value, log_ratio_evidence

shares = st.floats(0.005, 0.5)
counts = st.integers(0, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def numeric_e_value(failures, devices, p0, steps=20_000):
    """The mixture by the midpoint rule."""
    width = (1 - p0) / steps
    total = 0.0
    for index in range(steps):
        p = p0 + (index + 0.5) * width
        total += (p / p0) ** failures * ((1 - p) / (1 - p0)) ** (devices - failures)
    return total * width / (1 - p0)


@pytest.mark.parametrize(("failures", "devices", "p0"), [(0, 0, 0.05), (1, 1, 0.05), (2, 3, 0.05), (3, 40, 0.02), (10, 20, 0.3)])
def test_the_closed_form_is_the_integral(failures, devices, p0):
    assert math.exp(log_e_value(failures, devices, p0)) == pytest.approx(numeric_e_value(failures, devices, p0), rel=1e-4)


@settings(max_examples=200, deadline=None)
@given(counts, shares)
def test_it_is_a_martingale_at_the_tolerated_share(count, p0):
    failures, devices = count
    now = log_e_value(failures, devices, p0)
    failed = log_e_value(failures + 1, devices + 1, p0) - now
    good = log_e_value(failures, devices + 1, p0) - now
    assert p0 * math.exp(failed) + (1 - p0) * math.exp(good) == pytest.approx(1, rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(counts, shares)
def test_a_failure_never_lowers_and_a_success_never_raises_the_evidence(count, p0):
    failures, devices = count
    now = log_e_value(failures, devices, p0)
    assert log_e_value(failures + 1, devices + 1, p0) >= now - 1e-9
    assert log_e_value(failures, devices + 1, p0) <= now + 1e-9


@pytest.mark.parametrize("tolerated", [0.01, 0.02, 0.05, 0.1])
def test_a_broken_version_stops_after_at_most_three_devices(tolerated):
    stopped = next(n for n in range(1, 10) if log_e_value(n, n, tolerated) >= math.log(100))
    assert stopped <= 3


def test_a_healthy_version_is_hardly_ever_stopped():
    random_ = random.Random(7)
    stops = 0
    for _ in range(300):
        failures = 0
        for devices in range(1, 201):
            failures += random_.random() < 0.05
            if log_e_value(failures, devices, 0.05) >= math.log(100):
                stops += 1
                break
    assert stops / 300 <= 0.02  # the bound is 1 %


def test_a_version_with_a_fifth_of_failures_is_stopped():
    random_ = random.Random(7)
    found = []
    for _ in range(60):
        failures, devices = 0, 0
        while log_e_value(failures, devices, 0.05) < math.log(100) and devices < 1000:
            devices += 1
            failures += random_.random() < 0.2
        found.append(devices)
    assert sorted(found)[30] < 80


def test_failures_to_stop_agrees_with_the_evidence():
    stop = failures_to_stop(40, 0.05, 0.01)
    assert log_e_value(stop, 40, 0.05) >= math.log(100) > log_e_value(stop - 1, 40, 0.05)
    assert failures_to_stop(0, 0.05, 0.01) is None


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="make no sense"):
        log_e_value(3, 2, 0.05)


def test_a_lopsided_ratio_of_reports_is_evidence_and_an_even_one_is_not():
    assert log_ratio_evidence((100, 100), 0.5) < 0.5
    assert log_ratio_evidence((100, 40), 0.5) > math.log(1000)
