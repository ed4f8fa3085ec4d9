"""Who hangs and who only waits its turn, told apart by looks at a process."""

import os
import signal
import subprocess
import sys

import pytest

from edge_agent.hang_watch import LOOK_S, HangWatch, Look, Posture, deadline_of, look_at
from tests.simulators.waiting import wait_until

DEADLINE_S = 0.2


def story(posture: Posture, *, cpu_share: float = 0.0, begun_ns: int = 0, seconds: float = 60.0) -> tuple[float, str]:
    """When (in seconds after the question) a worker that stays like this is convicted, and why; 0.0 where it never is."""
    watch = HangWatch(DEADLINE_S, Look(0.0, 0.0, posture, begun_ns))
    for step in range(1, int(seconds / LOOK_S)):
        now = step * LOOK_S
        if cause := watch.judge(Look(now, now * cpu_share, posture, begun_ns)):
            return now, cause
    return 0.0, ""


@pytest.mark.parametrize(
    ("latency_us", "setting_ms", "deadline_s"), [(500, 0, 0.12), (50_000, 0, 0.5), (500, 80, 0.08), (50_000, 2000, 2.0), (0, 0, 0.12)]
)
def test_the_deadline_is_ten_inferences_with_a_floor_or_what_the_owner_says(
    latency_us: float, setting_ms: float, deadline_s: float
) -> None:
    assert deadline_of(latency_us, setting_ms) == pytest.approx(deadline_s)


def test_who_stands_still_is_convicted_at_the_deadline() -> None:
    when, cause = story(Posture.STILL)
    assert when == pytest.approx(DEADLINE_S, abs=2 * LOOK_S)
    assert "stood still" in cause


def test_who_computes_one_inference_too_long_is_convicted_by_its_processor_time() -> None:
    when, cause = story(Posture.RUNNABLE, cpu_share=1.0, begun_ns=1)
    assert when == pytest.approx(1.0, abs=2 * LOOK_S)
    assert "one inference computed" in cause
    assert story(Posture.RUNNABLE, cpu_share=0.1, begun_ns=1)[0] == pytest.approx(10.0, rel=0.05), (
        "a tenth of a processor: ten times as long"
    )


def test_who_computes_something_else_has_more_time() -> None:
    assert story(Posture.RUNNABLE, cpu_share=1.0)[0] == pytest.approx(5.0, abs=2 * LOOK_S)


@pytest.mark.parametrize("posture", [Posture.RUNNABLE, Posture.WAITING_FOR_DISK])
def test_who_is_starved_by_others_or_by_its_disk_has_half_a_minute(posture: Posture) -> None:
    assert story(posture, seconds=29)[0] == 0.0
    assert "no answer within 30 s" in story(posture)[1]


def test_who_may_compute_longer_is_given_that_and_longer_still_where_it_is_starved() -> None:
    watch = HangWatch(DEADLINE_S, Look(0.0, 0.0, Posture.RUNNABLE), busy_s=60.0)
    looks = (Look(step * LOOK_S, step * LOOK_S, Posture.RUNNABLE) for step in range(1, int(70 / LOOK_S)))
    convicted = next(look for look in looks if watch.judge(look))
    assert convicted.at_s == pytest.approx(60.0, abs=2 * LOOK_S)


def test_a_supervisor_that_was_held_up_itself_convicts_nobody() -> None:
    watch = HangWatch(DEADLINE_S, Look(0.0, 0.0, Posture.STILL))
    assert not watch.judge(Look(1000.0, 0.0, Posture.STILL)), "one look after a long pause is one look"
    assert not watch.judge(Look(1000.0 + LOOK_S, 0.0, Posture.STILL))


def test_the_next_inference_begins_its_own_deadline() -> None:
    watch = HangWatch(DEADLINE_S, Look(0.0, 0.0, Posture.RUNNABLE, 1))
    for step in range(1, 150):
        now = step * LOOK_S
        assert not watch.judge(Look(now, now, Posture.RUNNABLE, 1 + step // 20))


def test_a_real_process_is_seen_running_stopped_and_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        first = look_at(child.pid)
        assert first is not None and first.posture is Posture.RUNNABLE  # noqa: PT018  (narrows the type)
        wait_until(lambda: (now := look_at(child.pid)) is not None and now.cpu_s > first.cpu_s)
        os.kill(child.pid, signal.SIGSTOP)
        wait_until(lambda: (now := look_at(child.pid)) is not None and now.posture is Posture.STILL)
        child.kill()
    assert look_at(child.pid) is None
