"""One published message on its way through the listener, and the store of retained ones."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mqtt5

from fleet_server.broker.subscriptions import filter_matches

SessionKey = tuple[str, str]  # authenticated name, client id
_QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE)
_PROPERTIES = ("payload_format_indicator", "content_type", "response_topic", "correlation_data", "user_properties")


@dataclass(frozen=True)
class Message:
    """A message as its publisher sent it; `expires_at` is in seconds of the listener's monotonic clock."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expires_at: float = math.inf
    sender: SessionKey = ("", "")
    properties: dict[str, Any] = field(default_factory=dict)
    _encoded: dict[bool, bytes] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size_bytes(self) -> int:
        """What it weighs in a queue."""
        return len(self.topic) + len(self.payload) + 200

    def encode(self, now: float, *, retain: bool, packet_id: int | None = None, duplicate: bool = False) -> bytes:
        """The PUBLISH packet for one receiver; with `packet_id` at QoS 1, else at QoS 0 (made once for all receivers)."""
        if packet_id is None and math.isinf(self.expires_at):
            if retain not in self._encoded:
                self._encoded[retain] = self._packet(now, retain=retain, packet_id=None, duplicate=False)
            return self._encoded[retain]
        return self._packet(now, retain=retain, packet_id=packet_id, duplicate=duplicate)

    def _packet(self, now: float, *, retain: bool, packet_id: int | None, duplicate: bool) -> bytes:
        remaining = None if math.isinf(self.expires_at) else max(0, math.ceil(self.expires_at - now))
        packet = mqtt5.PublishPacket(
            self.topic,
            self.payload,
            qos=_QOS[packet_id is not None],
            retain=retain,
            packet_id=packet_id,
            duplicate=duplicate,
            message_expiry_interval=remaining,
            **self.properties,
        )
        data: bytes = packet.write()
        return data


def message_of(packet: Any, sender: SessionKey, now: float) -> Message:  # noqa: ANN401  (PublishPacket or Will)
    """The message of a PUBLISH packet or of a last will."""
    expiry = packet.message_expiry_interval
    properties = {name: getattr(packet, name) for name in _PROPERTIES}
    return Message(
        topic=packet.topic,
        payload=bytes(packet.payload or b""),
        qos=int(packet.qos),
        retain=packet.retain,
        expires_at=math.inf if expiry is None else now + expiry,
        sender=sender,
        properties={name: value for name, value in properties.items() if value},
    )


class RetainedStore:
    """The last retained message of each topic, in memory.

    It is a cache: the server answers each `hello` from its database, so nothing is lost with it.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._messages: dict[str, Message] = {}
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0

    def __len__(self) -> int:
        """How many topics have one."""
        return len(self._messages)

    def keep(self, message: Message) -> bool:
        """Keep a message, or forget its topic's where the payload is empty; False where there is no room."""
        old = self._messages.pop(message.topic, None)
        self._bytes -= old.size_bytes if old else 0
        if not message.payload:
            return True
        if len(self._messages) >= self._max_messages or self._bytes + message.size_bytes > self._max_bytes:
            return False
        self._messages[message.topic] = message
        self._bytes += message.size_bytes
        return True

    def find(self, topic_filter: str, now: float) -> Iterator[Message]:
        """Unexpired messages that a filter matches."""
        if set(topic_filter) & {"+", "#"}:
            found = [message for topic, message in self._messages.items() if filter_matches(topic_filter, topic)]
        else:
            found = [self._messages[topic_filter]] if topic_filter in self._messages else []
        yield from (message for message in found if message.expires_at > now)

    def sweep(self, now: float) -> None:
        """Forget expired ones."""
        for message in [message for message in self._messages.values() if message.expires_at <= now]:
            del self._messages[message.topic]
            self._bytes -= message.size_bytes
