"""Bytes from a socket into checked MQTT 5 packets: the frame is cut here, under a bound, then the codec reads it.

The codec (`mqtt5`) has no bound of its own, panics on text that is not UTF-8 and lets through some
things that the standard forbids; all three are caught here, so that the rest sees clean packets.
"""

from typing import Any

import mqtt5
from mqtt5 import DisconnectReasonCode as Reason

from fleet_server.broker.subscriptions import is_valid_filter, is_valid_topic

MAX_LENGTH_BYTES = 4
CONNECT_TYPE = 1
OLD_VERSIONS = frozenset({3, 4})
OLD_VERSION_REFUSAL = bytes.fromhex("20020001")  # CONNACK of MQTT 3.1.1: unacceptable protocol version
_FROM_CLIENT: tuple[type, ...] = (
    mqtt5.PublishPacket,
    mqtt5.PubAckPacket,
    mqtt5.SubscribePacket,
    mqtt5.UnsubscribePacket,
    mqtt5.PingReqPacket,
    mqtt5.DisconnectPacket,
)


class PacketError(Exception):
    """A client broke the protocol; `reason` is what DISCONNECT tells it."""

    def __init__(self, text: str, reason: Any = Reason.MALFORMED_PACKET) -> None:  # noqa: ANN401  (the codec's enums are no IntEnum)
        super().__init__(text)
        self.reason = reason


class OldVersionError(Exception):
    """A CONNECT of MQTT 3.1 or 3.1.1."""


def frame_length(buffer: bytes | bytearray, max_bytes: int) -> int | None:
    """Whole length of the frame at the start of `buffer`, None while its length field is incomplete.

    Raises:
        PacketError: the length is longer than `max_bytes` or no valid variable byte integer.
    """
    value = 0
    for index in range(MAX_LENGTH_BYTES):
        if len(buffer) < index + 2:
            return None
        byte = buffer[index + 1]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            total = value + index + 2
            if total > max_bytes:
                raise PacketError(f"a packet of {total} bytes, at most {max_bytes} are accepted", Reason.PACKET_TOO_LARGE)
            return total
    raise PacketError("a length field of more than four bytes")


class FrameReader:
    """Collects bytes and gives out one packet after the other."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what the socket gave."""
        self._buffer += data

    def check_greeting(self) -> None:
        """Refuse at its first byte what can not become a CONNECT, such as HTTP or TLS on the wrong port.

        Raises:
            PacketError: it can not.
        """
        if self._buffer and self._buffer[0] != CONNECT_TYPE << 4:
            raise PacketError(f"the first byte is {self._buffer[0]:#04x}: no CONNECT")

    def next_frame(self) -> bytes | None:
        """Cut out the next whole frame, None while it is incomplete.

        Raises:
            PacketError: it is longer than the bound; nothing more may be read then.
        """
        length = frame_length(self._buffer, self.max_bytes)
        if length is None or len(self._buffer) < length:
            return None
        frame = bytes(self._buffer[:length])
        del self._buffer[:length]
        return frame


def parse_frame(frame: bytes) -> Any:  # noqa: ANN401  (one of the codec's packet classes)
    """Read one whole frame.

    Raises:
        PacketError: malformed.
    """
    try:
        packet, used = mqtt5.read(memoryview(frame))
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise PacketError(f"a malformed packet: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the codec, not an Exception
            raise
        raise PacketError("text that is not UTF-8") from None
    if used != len(frame):
        raise PacketError("bytes after the end of a packet")
    return packet


def parse_connect(frame: bytes) -> Any:  # noqa: ANN401
    """Read the first frame of a connection, which must be a CONNECT of MQTT 5.

    Raises:
        OldVersionError: it is one of MQTT 3.
        PacketError: anything else.
    """
    if frame[0] >> 4 != CONNECT_TYPE:
        raise PacketError("the first packet is no CONNECT")
    if _protocol_level(frame) in OLD_VERSIONS:
        raise OldVersionError
    packet = parse_frame(frame)
    texts = [packet.client_id, packet.username or ""]
    if any("\0" in text for text in texts):
        raise PacketError("a NUL character in a name")
    if packet.will is not None and not is_valid_topic(packet.will.topic):
        raise PacketError("a will whose topic is empty or has a wildcard", Reason.TOPIC_NAME_INVALID)
    return packet


def _protocol_level(frame: bytes) -> int | None:
    start = 1
    while start < len(frame) and frame[start] & 0x80:
        start += 1
    body = frame[start + 1 :]
    name_length = int.from_bytes(body[:2], "big")
    if body[2 : 2 + name_length] not in {b"MQTT", b"MQIsdp"} or len(body) < name_length + 3:
        return None
    return body[2 + name_length]


def check_packet(packet: Any) -> None:  # noqa: ANN401
    """Refuse what the standard forbids and the codec lets through.

    Raises:
        PacketError: with the reason code for DISCONNECT.
    """
    if not isinstance(packet, _FROM_CLIENT):
        raise PacketError(f"a {type(packet).__name__} after the connection was made", Reason.PROTOCOL_ERROR)
    if getattr(packet, "packet_id", None) == 0:
        raise PacketError("packet identifier 0")
    if isinstance(packet, mqtt5.PublishPacket):
        _check_publish(packet)
    elif isinstance(packet, mqtt5.SubscribePacket):
        _check_subscribe(packet)
    elif isinstance(packet, mqtt5.UnsubscribePacket):
        if not packet.patterns:
            raise PacketError("UNSUBSCRIBE without a filter", Reason.PROTOCOL_ERROR)
        if not all(map(is_valid_filter, packet.patterns)):
            raise PacketError("UNSUBSCRIBE with an invalid filter", Reason.TOPIC_FILTER_INVALID)


def _check_publish(packet: Any) -> None:  # noqa: ANN401
    qos = int(packet.qos)  # the enum is truthy at 0 and can not be ordered
    if qos > 1:
        raise PacketError("QoS 2, at most 1 is offered", Reason.QOS_NOT_SUPPORTED)
    if packet.duplicate and qos == 0:
        raise PacketError("DUP with QoS 0")
    if packet.topic_alias is not None:
        raise PacketError("a topic alias, none is offered", Reason.TOPIC_ALIAS_INVALID)
    if packet.subscription_ids:
        raise PacketError("a subscription identifier in PUBLISH", Reason.PROTOCOL_ERROR)
    if not is_valid_topic(packet.topic):
        raise PacketError("a topic that is empty or has a wildcard", Reason.TOPIC_NAME_INVALID)


def _check_subscribe(packet: Any) -> None:  # noqa: ANN401
    if not packet.topic_filters:
        raise PacketError("SUBSCRIBE without a filter", Reason.PROTOCOL_ERROR)
    if packet.subscription_id is not None:
        raise PacketError("a subscription identifier, none is offered", Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED)
    if not all(entry.pattern for entry in packet.topic_filters):
        raise PacketError("SUBSCRIBE with an empty filter")
