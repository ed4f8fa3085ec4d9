"""When a device is too hot for an update: boards that are not here, as their small files."""

from pathlib import Path

import pytest

from edge_agent.heat import Heat, find_heat, is_slowed_down, read_heat, temperature_words
from edge_agent.sensors import Zone

BOARDS = Path(__file__).parent.parent / "golden" / "sysfs"
COOL = Zone(45.0)


@pytest.mark.parametrize(
    ("heat", "stated_c", "words"),
    [
        (Heat(), 0.0, ""),
        (Heat((COOL,), None), 0.0, ""),
        (Heat((COOL, Zone(85.5))), 0.0, "hotter than 85 °C"),
        (Heat((Zone(85.5),)), 90.0, ""),
        (Heat((Zone(61.0),)), 60.0, "hotter than 60 °C"),
        (Heat((Zone(66.0, 75.0),)), 0.0, "hotter than 65 °C"),
        (Heat((Zone(84.0, 110.0),)), 0.0, ""),
        (Heat((Zone(66.0, 75.0),)), 70.0, ""),
        (Heat((COOL,), 0b1000), 0.0, "slowed down by heat"),
        (Heat((COOL,), 0b0100), 0.0, "slowed down by heat"),
        (Heat((COOL,), 0b0101), 0.0, ""),  # slowed down by its supply, which no waiting mends
        (Heat((COOL,), 0x70000), 0.0, ""),  # that was before
    ],
)
def test_too_hot(heat: Heat, stated_c: float, words: str) -> None:
    found = find_heat(heat, stated_c)
    assert bool(found) == bool(words)
    assert words in found


def test_who_has_waited_goes_on_only_when_it_is_cooler_by_a_margin() -> None:
    heat = Heat((Zone(83.5),))
    assert not find_heat(heat, 0.0)
    assert find_heat(heat, 0.0, has_waited=True)
    assert not find_heat(Heat((Zone(82.0),)), 0.0, has_waited=True)


@pytest.mark.parametrize(("bits", "expected"), [(None, False), (0, False), (0x50000, False), (1, True), (2, True), (4, True), (8, True)])
def test_latencies_of_a_device_that_is_slowed_down_mislead(bits: int | None, expected: bool) -> None:
    assert is_slowed_down(Heat((COOL,), bits), 0.0) is expected
    assert is_slowed_down(Heat((Zone(90.0),), bits), 0.0)


@pytest.mark.parametrize(
    ("board", "zones", "words"),
    [
        ("raspberry-pi-4", (Zone(48.312, 110.0),), ""),
        ("raspberry-pi-5-undervolted", (Zone(86.15, 110.0),), "hotter than 85 °C"),
        ("jetson-orin-nano", (Zone(51.218, 104.5), Zone(53.906, 104.5)), ""),
        ("x86-desktop", (Zone(44.0, 100.0), Zone(46.0, 100.0)), ""),
        ("virtual-machine", (), ""),
    ],
)
def test_a_recorded_board(board: str, zones: tuple[Zone, ...], words: str) -> None:
    heat = read_heat(BOARDS / board)
    assert heat.zones == zones
    assert find_heat(heat, 0.0) == (f"it is {words}" if words else "")


def test_a_critical_point_that_the_board_leaves_open_is_none(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    for name, text in {"temp": "50000", "trip_point_0_type": "critical", "trip_point_0_temp": "0", "trip_point_1_type": "passive"}.items():
        (zone / name).write_text(text)
    assert read_heat(tmp_path).zones == (Zone(50.0),)


def test_the_hottest_place_in_words() -> None:
    assert temperature_words(Heat((COOL, Zone(61.7)))) == "62 °C"
    assert temperature_words(Heat()) == "no temperature is measured"
