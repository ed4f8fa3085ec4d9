"""Whether this agent is new enough for what a version, an application or the fleet asks of it."""

from collections.abc import Mapping

from edge_agent.hardware import version_tuple

VERSION, APPLICATION, FLEET = "the version", "the application", "the fleet"


def find_shortfall(asked: Mapping[str, str], agent_version: str) -> str:
    """Who asks for a newer agent than this one, in words; "" where nobody does.

    `asked` says who asks for which least version, "" for any. One that is no version is not met.
    """
    for who, needed in asked.items():
        if needed and not version_tuple(needed):
            return f"{who} asks for agent {needed[:40]!r}, which is no version"
        if _numbers(needed) > _numbers(agent_version):
            return f"{who} needs agent {needed[:40]} or newer, this is {agent_version}"
    return ""


def _numbers(text: str) -> tuple[int, ...]:
    """0.2 and 0.2.0 are the same."""
    numbers = version_tuple(text)
    while numbers and not numbers[-1]:
        numbers = numbers[:-1]
    return numbers
