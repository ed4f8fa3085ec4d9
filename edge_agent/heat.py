"""Is this device too hot for an update, or slowed down so that its latencies mislead? Pure rules over what the sensors say."""

from pathlib import Path
from typing import NamedTuple

from edge_agent.health import HOT_C
from edge_agent.sensors import Zone, read_throttled, read_zones, sensors_root

CRITICAL_MARGIN_C = 10.0
"""A place whose critical temperature is known must stay so far below it, even where that is below `HOT_C`."""
COOLER_BY_C = 3.0
"""Whoever waits for cooler weather goes on only so far below the limit: else it would begin and wait in turns."""
_UNDER_VOLTAGE, _CAPPED, _THROTTLED, _SOFT_LIMIT = 1, 2, 4, 8


class Heat(NamedTuple):
    """How hot a device is; what it has no sensor for is absent."""

    zones: tuple[Zone, ...] = ()
    throttled_bits: int | None = None


def read_heat(root: Path | None = None) -> Heat:
    """What the sensors say now; it may ask a program for the throttling bits, for a second at most."""
    root = root or sensors_root()
    return Heat(tuple(read_zones(root)), read_throttled(root))


def limit_c(zone: Zone, stated_c: float) -> float:
    """The most that a place may have; `stated_c` is what the owner set, 0 where nothing."""
    if stated_c or zone.critical_c is None:
        return stated_c or HOT_C
    return min(HOT_C, zone.critical_c - CRITICAL_MARGIN_C)


def find_heat(heat: Heat, stated_c: float, *, has_waited: bool = False) -> str:
    """Why this device is too hot for an update, in words that do not change while it cools; "" where it is not."""
    margin_c = COOLER_BY_C if has_waited else 0.0
    for zone in heat.zones:
        limit = limit_c(zone, stated_c)
        if zone.temperature_c > limit - margin_c:
            return f"it is hotter than {limit:g} °C"
    bits = heat.throttled_bits or 0
    by_heat = bits & _SOFT_LIMIT or (bits & (_CAPPED | _THROTTLED) and not bits & _UNDER_VOLTAGE)
    return "its processor is slowed down by heat" if by_heat else ""


def is_slowed_down(heat: Heat, stated_c: float) -> bool:
    """Whether latencies measured now mislead: by heat, or by too little voltage."""
    slowed = (heat.throttled_bits or 0) & (_UNDER_VOLTAGE | _CAPPED | _THROTTLED | _SOFT_LIMIT)
    return bool(slowed) or bool(find_heat(heat, stated_c))


def temperature_words(heat: Heat) -> str:
    """The hottest place, in words."""
    return f"{max(zone.temperature_c for zone in heat.zones):.0f} °C" if heat.zones else "no temperature is measured"
