"""Sessions and routing without any socket, with a clock that the test moves."""

import mqtt5
import pytest

from fleet_server.broker.access import DeviceIdentity, ServerIdentity
from fleet_server.broker.limits import FailureGate, Limits
from fleet_server.broker.messages import Message, RetainedStore
from fleet_server.broker.routing import Router
from fleet_server.broker.session import Subscription

LIMITS = Limits(in_flight=2, queued_messages=3, queued_bytes=1 << 20, sessions_per_name=2, retained_messages=2, retained_bytes=10_000)


class Link:
    def __init__(self, max_packet_bytes=1 << 20):
        self.max_packet_bytes = max_packet_bytes
        self.packets = []
        self.taken = False

    def send(self, data):
        self.packets.append(mqtt5.read(memoryview(data))[0])

    def take_over(self):
        self.taken = True

    @property
    def payloads(self):
        return [packet.payload for packet in self.packets]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def router(clock):
    return Router(LIMITS, clock)


def open_session(router, name="pi-01", client_id="c", *, clean=True, expiry=60, link=None):
    session, present = router.open_session(DeviceIdentity("demo", name), client_id, clean=clean)
    session.expiry_s = expiry
    link = link or Link()
    session.attach(link, 100)
    session.resume(router.clock())
    return session, link, present


def publish(router, payload, topic="t", **options):
    return router.publish(Message(topic, payload, qos=options.pop("qos", 1), **options))


def test_only_so_many_messages_are_in_flight_and_the_rest_follows_acknowledgements(router):
    session, link, _ = open_session(router)
    router.subscribe(session, "t", Subscription(1), 0)
    for number in range(4):
        publish(router, b"%d" % number)
    assert link.payloads == [b"0", b"1"]
    assert session.acknowledge(link.packets[0].packet_id, router.clock())
    assert not session.acknowledge(999, router.clock())
    assert link.payloads == [b"0", b"1", b"2"]
    assert len({packet.packet_id for packet in link.packets}) == 3


def test_a_full_queue_drops_its_oldest_and_keeps_the_newest_word(router):
    session, _, _ = open_session(router)
    router.subscribe(session, "t", Subscription(1), 0)
    router.close_link(session, None, 0)
    for number in range(10):
        publish(router, b"%d" % number)
    _, link, present = open_session(router, clean=False)
    assert present
    for packet in link.packets:
        session.acknowledge(packet.packet_id, router.clock())
    assert link.payloads == [b"7", b"8", b"9"]
    assert session.dropped == 7


def test_a_clean_start_forgets_the_session(router):
    session, _, _ = open_session(router)
    router.subscribe(session, "t", Subscription(1), 0)
    router.close_link(session, None, 0)
    publish(router, b"lost")
    _, link, present = open_session(router, clean=True)
    assert not present
    publish(router, b"also")
    assert link.packets == []


def test_a_message_larger_than_the_client_takes_is_left_out_and_blocks_nothing(router):
    session, link, _ = open_session(router, link=Link(max_packet_bytes=50))
    router.subscribe(session, "t", Subscription(1), 0)
    for payload in (b"x" * 100, b"small", b"y" * 100, b"also"):
        publish(router, payload)
    assert link.payloads == [b"small", b"also"]


def test_overlapping_filters_deliver_once_at_the_higher_qos(router):
    session, link, _ = open_session(router)
    for topic_filter, qos in (("#", 0), ("t", 1), ("+", 0)):
        router.subscribe(session, topic_filter, Subscription(qos), 0)
    publish(router, b"once")
    assert [(packet.payload, int(packet.qos)) for packet in link.packets] == [(b"once", 1)]


def test_a_subscribers_trouble_never_reaches_the_publisher(router, caplog):
    broken, _, _ = open_session(router, "pi-01")
    router.subscribe(broken, "t", Subscription(0), 0)
    broken.link.send = None
    healthy, link, _ = open_session(router, "pi-02")
    router.subscribe(healthy, "t", Subscription(0), 0)
    assert publish(router, b"hello", qos=0)
    assert link.payloads == [b"hello"]
    assert "pi-01" in caplog.text


def test_a_delayed_will_waits_and_is_dropped_when_the_client_returns(router, clock):
    watcher, link, _ = open_session(router, "pi-09")
    router.subscribe(watcher, "gone", Subscription(0), 0)
    will = Message("gone", b"pi-01")
    session, _, _ = open_session(router, "pi-01")
    router.close_link(session, will, 10)
    clock.now += 5
    router.sweep()
    assert link.packets == []
    open_session(router, "pi-01", clean=False)
    clock.now += 20
    router.sweep()
    assert link.packets == []
    router.close_link(session, will, 10)
    clock.now += 11
    router.sweep()
    assert link.payloads == [b"pi-01"]


def test_a_session_that_ends_publishes_the_will_that_waited(router, clock):
    watcher, link, _ = open_session(router, "pi-09")
    router.subscribe(watcher, "gone", Subscription(0), 0)
    session, _, _ = open_session(router, "pi-01", expiry=5)
    router.close_link(session, Message("gone", b"pi-01"), 1000)
    clock.now += 6
    router.sweep()
    assert link.payloads == [b"pi-01"]
    assert ("pi-01", "c") not in router.sessions


def test_a_name_holds_only_so_many_sessions(router):
    for client_id in ("a", "b"):
        open_session(router, client_id=client_id)
    assert router.open_session(DeviceIdentity("demo", "pi-01"), "c", clean=True) is None
    assert router.open_session(ServerIdentity(), "c", clean=True) is not None
    router.end_session(router.sessions["pi-01", "a"])
    assert router.open_session(DeviceIdentity("demo", "pi-01"), "c", clean=True) is not None


def test_retained_messages_have_a_bound_and_an_expiry(clock):
    store = RetainedStore(2, 10_000)
    assert store.keep(Message("a", b"1", expires_at=clock() + 5))
    assert store.keep(Message("b", b"2"))
    assert not store.keep(Message("c", b"3"))
    assert store.keep(Message("b", b"22"))
    assert [message.payload for message in store.find("+", clock())] == [b"1", b"22"]
    clock.now += 6
    assert [message.payload for message in store.find("a", clock())] == []
    store.sweep(clock())
    assert len(store) == 1
    assert store.keep(Message("b", b""))
    assert store._bytes == 0
    assert not store.keep(Message("big", bytes(20_000)))


def test_an_address_that_sends_rubbish_is_turned_away_until_it_ages():
    gate = FailureGate(3, 10.0)
    for second in range(3):
        assert gate.is_open("x", second)
        gate.note("x", second)
    assert not gate.is_open("x", 3)
    assert gate.is_open("y", 3)
    assert gate.is_open("x", 11)
    gate.sweep(30)
    assert gate._failures == {}
