import contextlib

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mqtt5 import DisconnectReasonCode as Reason

from fleet_server.broker.frames import FrameReader, OldVersionError, PacketError, check_packet, frame_length, parse_connect, parse_frame

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what a panic of the codec leaves
FEW = settings(max_examples=60, deadline=None)
ONCE = mqtt5.QoS.AT_LEAST_ONCE


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.data())
@FEW
def test_packets_come_out_whole_however_the_bytes_are_cut(payloads, data):
    stream = b"".join(mqtt5.PublishPacket("t", payload).write() for payload in payloads)
    reader, found = FrameReader(1000), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        reader.feed(stream[:size])
        stream = stream[size:]
        while frame := reader.next_frame():
            found.append(parse_frame(frame).payload)
    assert found == payloads


def test_a_length_above_the_bound_is_refused_before_the_packet_has_come():
    with pytest.raises(PacketError, match="at most 4096") as caught:
        frame_length(bytes.fromhex("30ffffff7f"), 4096)
    assert caught.value.reason == Reason.PACKET_TOO_LARGE
    with pytest.raises(PacketError, match="four bytes"):
        frame_length(bytes.fromhex("30ffffffff7f"), 1 << 30)
    assert frame_length(b"\x30", 100) is frame_length(b"\x30\x80", 100) is None
    assert frame_length(b"\x30\x02", 100) == 4


@given(st.binary(min_size=2, max_size=60))
@FEW
def test_any_bytes_are_a_packet_or_an_error_of_one_kind(data):
    with contextlib.suppress(PacketError):
        parse_frame(data)


def test_text_that_is_not_utf8_is_an_error_and_no_panic():
    with pytest.raises(PacketError, match="UTF-8"):
        parse_frame(bytes.fromhex("3005000261ff00"))


def test_what_can_not_become_a_connect_is_known_at_its_first_byte():
    for first in (b"G", b"\x16", b"\x30", b"\x00"):
        reader = FrameReader(100)
        reader.feed(first)
        with pytest.raises(PacketError, match="no CONNECT"):
            reader.check_greeting()
    reader = FrameReader(100)
    reader.check_greeting()
    reader.feed(b"\x10")
    reader.check_greeting()


def test_bytes_after_the_end_are_refused():
    with pytest.raises(PacketError, match="after the end"):
        parse_frame(mqtt5.PingReqPacket().write() + b"x")


@pytest.mark.parametrize("level", [3, 4])
def test_a_connect_of_mqtt_3_is_known_as_such(level):
    name = {3: "0006" + b"MQIsdp".hex(), 4: "0004" + b"MQTT".hex()}[level]
    body = bytes.fromhex(f"{name}{level:02x}00003c0001 78".replace(" ", ""))
    with pytest.raises(OldVersionError):
        parse_connect(bytes([0x10, len(body)]) + body)


@pytest.mark.parametrize(
    "frame",
    [
        mqtt5.PingReqPacket().write(),
        bytes.fromhex("1000"),
        bytes.fromhex("100d00044d51545409 00003c000178".replace(" ", "")),
        mqtt5.ConnectPacket("a\0b").write(),
        mqtt5.ConnectPacket("a", username="u\0").write(),
        mqtt5.ConnectPacket("a", will=mqtt5.Will("")).write(),
        mqtt5.ConnectPacket("a", will=mqtt5.Will("a/x")).write().replace(b"a/x", b"a/#"),
        mqtt5.ConnectPacket("a", will=mqtt5.Will("$SYS/a")).write(),
    ],
)
def test_a_first_packet_that_is_no_good_connect_is_refused(frame):
    with pytest.raises(PacketError):
        parse_connect(frame)


def test_a_good_connect_passes():
    assert parse_connect(mqtt5.ConnectPacket("a", will=mqtt5.Will("a/b")).write()).client_id == "a"


def subscribe(*patterns, **options):
    return mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(pattern) for pattern in patterns], **options)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (mqtt5.ConnectPacket("again"), Reason.PROTOCOL_ERROR),
        (mqtt5.ConnAckPacket(), Reason.PROTOCOL_ERROR),
        (mqtt5.PubRecPacket(1), Reason.PROTOCOL_ERROR),
        (mqtt5.AuthPacket(), Reason.PROTOCOL_ERROR),
        (mqtt5.PubAckPacket(0), Reason.MALFORMED_PACKET),
        (mqtt5.PublishPacket("a", b"", qos=ONCE, packet_id=0), Reason.MALFORMED_PACKET),
        (mqtt5.PublishPacket("a", b"", duplicate=True), Reason.MALFORMED_PACKET),
        (mqtt5.PublishPacket("a", b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1), Reason.QOS_NOT_SUPPORTED),
        (mqtt5.PublishPacket("a", b"", topic_alias=1), Reason.TOPIC_ALIAS_INVALID),
        (mqtt5.PublishPacket("a", b"", subscription_ids=[1]), Reason.PROTOCOL_ERROR),
        (mqtt5.PublishPacket("a\0b", b""), Reason.TOPIC_NAME_INVALID),
        (mqtt5.PublishPacket("$SYS/a", b""), Reason.TOPIC_NAME_INVALID),
        (mqtt5.PublishPacket("a/" * 40, b""), Reason.TOPIC_NAME_INVALID),
        (subscribe(""), Reason.MALFORMED_PACKET),
        (subscribe("a", subscription_id=1), Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED),
    ],
)
def test_what_the_codec_lets_through_and_the_standard_forbids_is_refused(packet, reason):
    with pytest.raises(PacketError) as caught:
        check_packet(packet)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "frame",
    [
        "8203000100",
        "a203000100",
        "a2070001000002 6123",
        "8206000100000001",
        "a20600010000 0000",
        "36060001610001 00",
    ],
    ids=["empty SUBSCRIBE", "empty UNSUBSCRIBE", "unsubscribe a#", "empty filter", "unsubscribe empty", "QoS 3"],
)
def test_frames_that_no_codec_would_build_are_refused(frame):
    def read():
        check_packet(parse_frame(bytes.fromhex(frame)))

    with pytest.raises(PacketError):
        read()


@pytest.mark.parametrize(
    "packet",
    [
        mqtt5.PublishPacket("a", b""),
        mqtt5.PublishPacket("a/b", b"x", qos=ONCE, packet_id=1, duplicate=True),
        mqtt5.PubAckPacket(1),
        mqtt5.PingReqPacket(),
        mqtt5.DisconnectPacket(),
        subscribe("#", "a/+", "$share/group/a"),
        mqtt5.UnsubscribePacket(1, ["a/#"]),
    ],
)
def test_good_packets_pass(packet):
    check_packet(packet)
