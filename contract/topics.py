"""Topics of the MQTT contract: `eyelet/v1/<fleet>/<device>/<channel>`."""

from enum import Enum
from typing import NamedTuple

from contract.errors import InvalidNameError
from contract.names import check_id, is_id

PREFIX = "eyelet/v1"


class Channel(str, Enum):
    """The last part of a topic."""

    DESIRED = "desired"
    ACK = "ack"
    COMMAND = "command"
    REPORTED = "reported"
    HELLO = "hello"
    EVENT = "event"
    HEALTH = "health"
    WINDOW = "window"
    PRESENCE = "presence"
    COMMAND_RESULT = "command/result"


TO_DEVICE = frozenset({Channel.DESIRED, Channel.ACK, Channel.COMMAND})
FROM_DEVICE = frozenset(Channel) - TO_DEVICE
RETAINED = frozenset({Channel.DESIRED, Channel.REPORTED, Channel.PRESENCE})
AT_MOST_ONCE = frozenset({Channel.ACK, Channel.HEALTH})
"""Channels with QoS 0; all others have QoS 1."""


class Topic(NamedTuple):
    """A parsed topic."""

    fleet: str
    device: str
    channel: Channel


def build_topic(fleet: str, device: str, channel: Channel) -> str:
    """Topic of one channel of one device.

    Raises:
        InvalidNameError: fleet or device is no id, so that nobody smuggles a wildcard.
    """
    return f"{PREFIX}/{check_id(fleet, 'fleet')}/{check_id(device, 'device')}/{channel.value}"


def parse_topic(topic: str) -> Topic:
    """Split a topic.

    Raises:
        InvalidNameError: it is not one of the contract's topics.
    """
    parts = topic.split("/", 4)
    if len(parts) == 5 and f"{parts[0]}/{parts[1]}" == PREFIX and is_id(parts[2]) and is_id(parts[3]):  # noqa: PLR2004
        for channel in Channel:
            if parts[4] == channel.value:
                return Topic(parts[2], parts[3], channel)
    raise InvalidNameError(f"{topic[:120]!r} is not a topic of this contract; expected {PREFIX}/<fleet>/<device>/<channel>")


def qos_of(channel: Channel) -> int:
    """Quality of service of a channel: 0 or 1."""
    return 0 if channel in AT_MOST_ONCE else 1


def server_filters(fleet: str) -> tuple[str, ...]:
    """What the server subscribes to: every device topic of one fleet."""
    check_id(fleet, "fleet")
    return tuple(f"{PREFIX}/{fleet}/+/{channel.value}" for channel in sorted(FROM_DEVICE, key=lambda c: c.value))


def device_may_publish(fleet: str, device: str, topic: str) -> bool:
    """Whether a device, by its authenticated name, may publish to `topic`."""
    try:
        parsed = parse_topic(topic)
    except InvalidNameError:
        return False
    return parsed.fleet == fleet and parsed.device == device and parsed.channel in FROM_DEVICE


def device_may_read(fleet: str, device: str, topic_filter: str) -> bool:
    """Whether a device may subscribe to `topic_filter`: its own channels by exact name only."""
    try:
        parsed = parse_topic(topic_filter)
    except InvalidNameError:
        return False
    return parsed.fleet == fleet and parsed.device == device and parsed.channel in TO_DEVICE
