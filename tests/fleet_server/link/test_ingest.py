from functools import partial

import pytest
from sqlalchemy import func, select

from contract.codec import MESSAGE_MAX_BYTES, decode, encode, utc_now
from contract.messages import DESIRED_PAYLOAD_TYPE, Desired, DesiredSlot, Event, Hello, PresenceMessage, Reported, VersionRef, Window
from contract.signing import verify_payload
from contract.sketches import CONFIDENCE_BOUNDS, LATENCY_BOUNDS_US, Histogram
from contract.states import Presence
from contract.topics import Channel, Topic
from fleet_server.devices.desired import Director, Wish, find_envelope, issue
from fleet_server.devices.directory import get_device
from fleet_server.devices.enrolment import revoke
from fleet_server.link.ingest import take_in
from fleet_server.link.outbox import list_waiting
from fleet_server.store import schema


@pytest.fixture
def director(floor):
    return Director("main", floor.keys.director)


@pytest.fixture
def take(floor, fleet, director, clock):
    fleet("pi-1", "pi-2")

    def send(channel, payload, device="pi-1"):
        body = payload if isinstance(payload, bytes) else encode(payload)
        return floor.database.write(partial(take_in, director=director, topic=Topic("main", device, channel), payload=body, now=clock()))

    return send


def count(floor, table):
    return floor.database.read(lambda connection: connection.scalar(select(func.count()).select_from(table)))


def event(sequence, stream="s", **changes):
    return Event(
        **{"schema_version": 1, "stream": stream, "sequence": sequence, "boot_id": "b", "at": utc_now(), "kind": "agent", **changes}
    )


def window(sequence, *, index=1, digest="a" * 64, **changes):
    fields = {
        "schema_version": 1,
        "stream": "s",
        "sequence": sequence,
        "boot_id": "b",
        "index": index,
        "slot": "main",
        "target": VersionRef("digits", 1, digest),
        "variant": "onnx-float32",
        "started_at": utc_now(),
        "duration_s": 1.0,
        "count": 3,
        "latency_us": Histogram.of(LATENCY_BOUNDS_US, [100.0, 200.0, 300.0]),
        "confidence": Histogram.of(CONFIDENCE_BOUNDS, [0.9] * 3),
        "class_counts": {"a": 3},
    }
    return Window(**{**fields, **changes})


def hello(**changes):
    return Hello(**{"schema_version": 1, "boot_id": "b", "session": 1, "desired_revision": 0, "stream": "s", **changes})


def test_an_event_sent_three_times_is_stored_once_and_acknowledged_each_time(take, floor):
    assert [take(Channel.EVENT, event(1)).upto for _ in range(3)] == [1, 1, 1]
    assert count(floor, schema.events) == 1


def test_a_window_under_a_new_sequence_is_still_the_same_window(take, floor):
    take(Channel.WINDOW, window(1))
    assert take(Channel.WINDOW, window(2)).upto == 2
    assert count(floor, schema.windows) == 1
    assert get_latency(floor) == pytest.approx(0.347, abs=0.1)


def get_latency(floor):
    return floor.database.read(lambda connection: get_device(connection, "main", "pi-1")).latency_p95_ms


def test_the_same_sequence_of_another_device_or_stream_is_another_event(take, floor):
    take(Channel.EVENT, event(1))
    take(Channel.EVENT, event(1), device="pi-2")
    take(Channel.EVENT, event(1, stream="t"))
    assert count(floor, schema.events) == 3


BROKEN = {
    "not json": b"\xff\xfe{",
    "a list": b"[]",
    "empty": b"",
    "deep": b"[" * 5000,
    "newer schema": encode(event(9)).replace(b'"schema_version":1', b'"schema_version":99'),
    "wrong type": encode(event(9)).replace(b'"kind":"agent"', b'"kind":7'),
    "too large": b'{"stream":"s","sequence":9,"x":"' + b"x" * MESSAGE_MAX_BYTES + b'"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_message_that_can_not_be_read_is_kept_aside_and_harms_nobody(take, floor, name):
    take(Channel.EVENT, BROKEN[name])
    assert count(floor, schema.rejected) == 1
    assert take(Channel.EVENT, event(1)).upto == 1
    assert take(Channel.EVENT, event(1), device="pi-2").upto == 1


def test_a_broken_event_with_a_readable_head_does_not_block_its_stream(take, floor):
    take(Channel.EVENT, event(1))
    broken = encode(event(2)).replace(b'"kind":"agent"', b'"kind":7')
    assert take(Channel.EVENT, broken).upto == 2
    assert take(Channel.EVENT, event(3)).upto == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"count": -1},
        {"class_counts": {"a": -5}},
        {"latency_us": Histogram((1.0, 2.0), [1, 2])},
        {"latency_us": Histogram((2.0, 1.0), [1, 2, 3])},
        {"latency_us": Histogram((), [1])},
        {"confidence": Histogram((1.0,), [-1, 2])},
    ],
)
def test_a_window_whose_numbers_make_no_sense_is_not_counted(take, floor, changes):
    take(Channel.WINDOW, window(1, **changes))
    assert count(floor, schema.windows) == 0
    assert count(floor, schema.rejected) == 1


def test_messages_of_unknown_and_revoked_devices_are_dropped(take, floor, clock):
    assert take(Channel.EVENT, event(1), device="stranger") is None
    floor.database.write(lambda connection: revoke(connection, "pi-2", clock()))
    assert take(Channel.EVENT, event(1), device="pi-2") is None
    assert count(floor, schema.events) == 0


def test_a_reported_state_on_a_foreign_topic_is_refused(take, floor):
    take(Channel.REPORTED, Reported(1, "pi-2", "b", utc_now(), "0.1.0", "pi", 0, {}))
    assert floor.database.read(lambda connection: get_device(connection, "main", "pi-1")).reported is None
    assert count(floor, schema.rejected) == 1


def test_a_hello_is_answered_with_the_end_of_the_stream_and_a_newer_wish(take, floor, director, clock):
    take(Channel.EVENT, event(1))
    floor.database.write(lambda connection: issue(connection, director, "pi-1", Wish(DesiredSlot()), clock()))
    sent = [message.id for message in floor.database.read(list_waiting)]
    floor.database.write(lambda connection: connection.execute(schema.mqtt_outbox.delete()))
    assert take(Channel.HELLO, hello(desired_revision=0)).upto == 1
    waiting = floor.database.read(list_waiting)
    assert len(sent) == len(waiting) == 1
    floor.database.write(lambda connection: connection.execute(schema.mqtt_outbox.delete()))
    take(Channel.HELLO, hello(desired_revision=1))
    assert floor.database.read(list_waiting) == []


def test_a_hello_with_a_revision_from_the_future_gets_the_wish_above_it(take, floor):
    take(Channel.HELLO, hello(desired_revision=41))
    revision, envelope = floor.database.read(lambda connection: find_envelope(connection, "pi-1"))
    assert revision == 42
    document = decode(verify_payload(envelope, DESIRED_PAYLOAD_TYPE, {"d": floor.keys.director.public}), Desired, "wish")
    assert document.revision == 42


def test_a_reported_state_from_the_future_gets_the_wish_above_it_too(take, floor):
    take(Channel.REPORTED, Reported(1, "pi-1", "b", utc_now(), "0.1.0", "pi", 41, {}))
    assert floor.database.read(lambda connection: find_envelope(connection, "pi-1"))[0] == 42


def test_a_hello_tells_what_its_outbox_dropped(take):
    take(Channel.EVENT, event(7))
    assert take(Channel.HELLO, hello(first_sequence=7)).upto == 7


def test_the_will_of_an_older_session_is_ignored(take, floor):
    def presence():
        return floor.database.read(lambda connection: get_device(connection, "main", "pi-1")).presence

    take(Channel.PRESENCE, PresenceMessage(1, Presence.ONLINE, 5, "b"))
    take(Channel.PRESENCE, PresenceMessage(1, Presence.OFFLINE, 4, "b"))
    assert presence() is Presence.ONLINE
    take(Channel.PRESENCE, PresenceMessage(1, Presence.OFFLINE, 5, "b"))
    assert presence() is Presence.OFFLINE


def test_of_the_wishes_that_wait_only_the_newest_goes_out(take, floor, director, clock):
    for _ in range(3):
        floor.database.write(lambda connection: issue(connection, director, "pi-1", Wish(DesiredSlot()), clock()))
    waiting = floor.database.read(list_waiting)
    assert len(waiting) == 1
    assert waiting[0].payload == floor.database.read(lambda connection: find_envelope(connection, "pi-1"))[1]
