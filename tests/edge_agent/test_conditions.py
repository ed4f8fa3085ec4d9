"""What the doctor says of windows and heat."""

import datetime

import pytest

from contract.messages import Desired, UpdatePolicy
from edge_agent.conditions import describe_heat, describe_windows
from edge_agent.heat import Heat
from edge_agent.sensors import Zone
from edge_agent.settings import Settings

NOW = datetime.datetime(2026, 6, 10, 20, 0, tzinfo=datetime.timezone.utc)
POLICY = UpdatePolicy(download_windows=("22:00-06:00",), activation_windows=("19:00-21:00",))
DESIRED = Desired(1, "line", "pi-1", 1, "2026-01-01T00:00:00Z", {}, policy=POLICY)


@pytest.mark.parametrize(
    ("settings", "desired", "text"),
    [
        (Settings(), None, "download at any time; activation at any time"),
        (
            Settings(),
            DESIRED,
            "download only 22:00-06:00 (the fleet), opens 2026-06-10 22:00 UTC; activation only 19:00-21:00 (the fleet), open now",
        ),
        (
            Settings(activation_windows=("sat 02:00-04:00", "sun 02:00-04:00")),
            DESIRED,
            (
                "download only 22:00-06:00 (the fleet), opens 2026-06-10 22:00 UTC; "
                "activation only sat 02:00-04:00 or sun 02:00-04:00 (config.json), opens 2026-06-13 02:00 UTC"
            ),
        ),
    ],
)
def test_windows(settings: Settings, desired: Desired | None, text: str) -> None:
    assert describe_windows(settings, desired, NOW).text == text


@pytest.mark.parametrize(
    ("heat", "verdict", "words"),
    [
        (Heat((Zone(48.0),)), "good", "48 °C"),
        (Heat(), "good", "no temperature is measured"),
        (Heat((Zone(91.0),)), "note", "hotter than 70 °C, so updates wait"),
        (Heat((Zone(48.0),), 1), "note", "slowed down"),
    ],
)
def test_heat(heat: Heat, verdict: str, words: str) -> None:
    finding = describe_heat(heat, Settings(update_max_temperature_c=70.0))
    assert finding.verdict == verdict
    assert words in finding.text
