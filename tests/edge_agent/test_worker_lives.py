from contract.messages import VersionRef
from edge_agent.update.records import Installed
from edge_agent.worker_lives import RESTART_LAST_S, WorkerLives

ONE, OTHER = (Installed(VersionRef("digits", version, str(version) * 64)) for version in (1, 2))


def test_two_short_lives_are_no_reason_to_wait_and_more_are_ever_longer() -> None:
    lives, waits = WorkerLives(), []
    for _ in range(12):
        lives.began()
        lives.ended(ONE, "ended")
        waits.append(lives.wait_s)
    assert waits[:5] == [0, 0, 0.5, 1, 2]
    assert waits[-1] == RESTART_LAST_S
    lives._ready_s -= 60  # this one lived for a minute
    lives.ended(ONE, "ended")
    assert lives.wait_s == 0


def test_a_life_is_short_beside_what_the_start_took() -> None:
    lives = WorkerLives()
    lives.start_took_s = 20.0
    for _ in range(3):
        lives.began()
        lives._ready_s -= 60
        lives.ended(ONE, "ended")
    assert lives.wait_s > 0


def test_crashes_are_counted_per_version_and_forgotten_after_ten_minutes() -> None:
    lives = WorkerLives()
    lives.did_not_begin(ONE, "does not start")
    lives.ended(OTHER, "hangs")
    assert (lives.crashes(), lives.crashes(ONE), lives.crashes(OTHER)) == (2, 1, 1)
    assert lives.last_crash == "hangs"
    lives._crashes[0] = (lives._crashes[0][0] - 601, ONE)
    assert (lives.crashes(), lives.crashes(ONE)) == (1, 0)
