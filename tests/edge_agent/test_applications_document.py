"""`docs/applications.md` says what there is: every kind, option and key, and its examples are valid."""

import re
from pathlib import Path

import msgspec
import pytest

from contract.application import Application, CapturePolicy, Rule
from contract.codec import decode
from edge_agent.engine.host_steps import HOST_STEPS
from edge_agent.settings import Settings
from edge_agent.sinks.table import SINKS
from edge_agent.sources.source import read_options
from edge_agent.sources.table import SOURCES

TEXT = (Path(__file__).parents[2] / "docs" / "applications.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> dict[str, set[str]]:
    """First cell's name to the names in the second."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section(title), re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}


@pytest.mark.parametrize(("title", "kinds"), [("Sources", SOURCES), ("Sinks", SINKS)])
def test_every_kind_and_option_is_in_the_table_and_no_other(title: str, kinds: dict) -> None:
    assert table(title) == {name: set(kind.options.__struct_fields__) for name, kind in kinds.items()}


def test_every_field_of_a_rule_and_of_the_capture_policy_is_explained() -> None:
    named = set(re.findall(r"`(\w+)`", section("Rules")))
    assert set(Rule.__struct_fields__) <= named
    assert set(CapturePolicy.__struct_fields__) <= set(re.findall(r"`(\w+)`", section("Samples from the field")))


def test_the_example_is_an_application_whose_options_are_known() -> None:
    application = decode(EXAMPLES[0].encode(), Application, "the example")
    read_options("source", application.source.options, SOURCES[application.source.kind].options)
    for sink in application.sinks:
        read_options("sink", sink.options, SINKS[sink.kind].options)


def test_the_settings_of_the_example_are_settings() -> None:
    settings = msgspec.json.decode(EXAMPLES[1], type=Settings)
    assert settings.capture_samples
    keys = set(msgspec.json.decode(EXAMPLES[1], type=dict))
    assert keys == set(re.findall(r"^\| `(\w+)` \|", section("Samples from the field"), re.MULTILINE))


def test_the_host_steps_are_those_of_the_closed_set() -> None:
    assert set(re.findall(r"`(\w+)`", section("Host steps").split(".")[0])) == set(HOST_STEPS)
