"""When a live source that gives nothing is said to stall, look by look."""

from edge_agent.frames.keeper import SILENT_FIRST_S
from edge_agent.sources import camera, microphone, mqtt_topic, serial_lines
from edge_agent.sources.silence import Silence, Told


def look(silence: Silence, *looks: tuple[float, float], has_given: bool = True) -> list[Told]:
    """What is said at looks of (time, seconds of silence)."""
    found = [silence.look(now_s, silent_s, has_given=has_given) for now_s, silent_s in looks]
    return [told for told in found if told is not None]


def quiet(begin_s: int, end_s: int) -> list[tuple[float, float]]:
    """Looks once a second at a device that gave its last sample at `begin_s`."""
    return [(float(now_s), float(now_s - begin_s)) for now_s in range(begin_s + 1, end_s + 1)]


def test_a_device_is_said_to_stall_once_for_as_long_as_it_does() -> None:
    silence = Silence("camera 0", 10.0, 0.0)
    assert look(silence, *quiet(0, 9)) == []
    (told,) = look(silence, *[(float(now_s), float(now_s)) for now_s in range(10, 600)])
    assert told == Told("camera 0 has given nothing for 10 s, and no error either; see whether it is plugged in and works", failed=False)


def test_a_slow_device_finds_its_pace() -> None:
    silence = Silence("camera 0", 10.0, 0.0)
    said = [len(look(silence, *quiet(begin_s, begin_s + 15))) for begin_s in range(0, 150, 15)]
    assert said == [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    silence = Silence("camera 0", 10.0, 0.0)
    assert [len(look(silence, *quiet(begin_s, begin_s + 700))) for begin_s in (0, 700, 1400)] == [1, 1, 1], "that is no pace"


def test_a_device_that_fails_and_is_opened_again_is_another_trouble() -> None:
    silence = Silence("camera 0", 10.0, 0.0)
    assert look(silence, *[(float(now_s), float(now_s % 6)) for now_s in range(1, 100)]) == []


def test_seconds_in_which_the_program_came_late_do_not_count() -> None:
    silence = Silence("camera 0", 10.0, 0.0)
    assert look(silence, *[(float(now_s), float(now_s)) for now_s in range(3, 300, 3)]) == []


def test_a_device_that_never_gave_a_sample_has_failed_after_a_while_and_one_that_did_has_not() -> None:
    looks = quiet(0, 200)
    assert [told.failed for told in look(Silence("camera 0", 10.0, 0.0), *looks)] == [False]
    assert [told.failed for told in look(Silence("camera 0", 10.0, 0.0), *looks, has_given=False)] == [False, True]


def test_it_is_said_of_the_devices_whose_capture_process_is_replaced_elsewhere_and_as_soon() -> None:
    patience = {module.__name__.rpartition(".")[2]: module.POLICY.silent_s for module in (camera, microphone, mqtt_topic, serial_lines)}
    assert patience == {"camera": SILENT_FIRST_S, "microphone": SILENT_FIRST_S, "mqtt_topic": 0.0, "serial_lines": 0.0}
