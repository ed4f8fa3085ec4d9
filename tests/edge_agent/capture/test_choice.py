from contract.application import CapturePolicy
from edge_agent.capture.choice import LOW_SCORE, RANDOM, HourlyLimit, reason_to_keep


def test_a_low_score_is_kept_and_a_high_one_is_not() -> None:
    policy = CapturePolicy(below_score=0.6)
    assert reason_to_keep(policy, 0.59, "a") == LOW_SCORE
    assert reason_to_keep(policy, 0.6, "a") == ""
    assert reason_to_keep(CapturePolicy(), 0.0, "a") == ""


def test_the_random_share_is_even_and_the_same_each_time() -> None:
    policy = CapturePolicy(random_share=0.1, seed=7)
    keys = [f"door:1:camera 0:{number}" for number in range(20_000)]
    chosen = [key for key in keys if reason_to_keep(policy, 0.9, key) == RANDOM]
    assert 1800 < len(chosen) < 2200
    assert chosen == [key for key in keys if reason_to_keep(policy, 0.9, key) == RANDOM]
    other = [key for key in keys if reason_to_keep(CapturePolicy(random_share=0.1, seed=8), 0.9, key)]
    assert 100 < len(set(chosen) & set(other)) < 320  # one in a hundred by chance


def test_all_is_all_and_a_larger_share_holds_the_smaller() -> None:
    keys = [str(number) for number in range(1000)]
    assert all(reason_to_keep(CapturePolicy(random_share=1.0), 1.0, key) for key in keys)
    small = {key for key in keys if reason_to_keep(CapturePolicy(random_share=0.1), 1.0, key)}
    large = {key for key in keys if reason_to_keep(CapturePolicy(random_share=0.3), 1.0, key)}
    assert small < large


def test_so_many_within_any_hour() -> None:
    limit = HourlyLimit(2)
    moments = [0.0, 10.0, 20.0, 3599.0, 3600.0, 3609.0, 3610.0, 3611.0]
    assert [limit.allows(moment) for moment in moments] == [True, True, False, False, True, False, True, False]
    assert not HourlyLimit(0).allows(0.0)
