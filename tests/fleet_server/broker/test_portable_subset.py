"""What the fleet needs of any broker, asked of each that is here: the embedded listener and mosquitto."""

import time

import mqtt5
import pytest

from fleet_server.broker.mosquitto import find_mosquitto
from tests.fleet_server.broker.clients import PASSWORD, Client, broker_in_thread, read_frame, settings_of, topic, wait_until

NOT_AUTHORIZED = 135
DEVICES = ("pi-01", "pi-02", "pi-03")


@pytest.fixture(scope="module", params=["embedded", "mosquitto"])
def running(request, tmp_path_factory):
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    folder = tmp_path_factory.mktemp("broker")
    with broker_in_thread(settings_of(request.param, folder), *DEVICES) as running:
        running.kind = request.param
        yield running


@pytest.fixture
def server(running):
    with running.connect_server() as client:
        assert client.subscribe("eyelet/v1/demo/+/presence") == 1
        drain(client)  # retained presence of earlier tests
        yield client


def drain(client):
    """Every message until the answer to a ping (mosquitto sends one copy per overlapping filter)."""
    client.send(mqtt5.PingReqPacket())
    messages = []
    while isinstance(packet := client.receive(), mqtt5.PublishPacket):
        messages.append(packet)
        if packet.packet_id is not None:
            client.send(mqtt5.PubAckPacket(packet.packet_id))
    assert isinstance(packet, mqtt5.PingRespPacket)
    return messages


def assert_dropped(client, code, kind):
    """The embedded listener says why, then closes; mosquitto only closes."""
    packet = client.receive()
    if kind == "embedded" or packet is not None:
        assert int(packet.reason_code) == code
        packet = client.receive()
    assert packet is None


def will(device, **options):
    return mqtt5.Will(topic(device, "presence"), payload=b"offline", qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True, **options)


def test_a_device_gets_its_own_topics_and_no_others(running):
    with running.connect("pi-01") as device, running.connect_server() as server:
        assert device.subscribe(topic("pi-01", "desired")) == 1
        for foreign in (topic("pi-02", "desired"), "eyelet/v1/demo/+/desired", "#", topic("pi-01", "reported")):
            code = device.subscribe(foreign)
            assert code == NOT_AUTHORIZED or running.kind == "mosquitto"  # mosquitto grants it and delivers nothing
        server.publish(topic("pi-02", "desired"), b"not yours")
        server.publish(topic("pi-01", "desired"), b"yours")
        assert {message.payload for message in drain(device)} == {b"yours"}


@pytest.mark.parametrize("foreign", [topic("pi-02", "hello"), topic("pi-01", "desired"), "eyelet/v1/other/pi-01/hello", "elsewhere"])
def test_a_publication_elsewhere_is_refused_and_reaches_nobody(running, foreign):
    with running.connect("pi-01") as device, running.connect_server() as server:
        assert server.subscribe("#") == 1
        assert device.publish(foreign, b"smuggled") == NOT_AUTHORIZED
        device.publish(foreign, b"smuggled", qos=0)
        assert device.publish(topic("pi-01", "hello"), b"honest") in {0, 16}
        messages = [server.message()]
        while messages[-1].payload != b"honest":  # retained ones of other tests
            messages.append(server.message())
        assert all(message.payload != b"smuggled" for message in messages)


def test_a_retained_message_is_kept_delivered_and_cleared(running):
    with running.connect_server() as server:
        server.publish(topic("pi-02", "desired"), b"old", retain=True)
        server.publish(topic("pi-02", "desired"), b"\x00\xffwish", retain=True)
        with running.connect("pi-02") as device:
            device.subscribe(topic("pi-02", "desired"))
            message = device.message()
            assert (message.payload, message.retain, int(message.qos)) == (b"\x00\xffwish", True, 1)
            server.publish(topic("pi-02", "desired"), b"live", retain=True)
            assert device.message().retain is False
        server.publish(topic("pi-02", "desired"), b"", retain=True)
        with running.connect("pi-02") as device:
            device.subscribe(topic("pi-02", "desired"))
            assert device.is_quiet()


def test_the_last_will_is_published_when_the_socket_is_lost(running, server):
    device = running.connect("pi-01", will=will("pi-01"))
    device.publish(topic("pi-01", "presence"), b"online", retain=True)
    assert server.message().payload == b"online"
    device.cut()
    message = server.message()
    assert (message.topic, message.payload) == (topic("pi-01", "presence"), b"offline")


def test_a_normal_disconnect_clears_the_will(running, server):
    running.connect("pi-01", will=will("pi-01")).disconnect()
    with running.connect("pi-01") as device:  # by now the broker is done with the connection before
        device.publish(topic("pi-01", "presence"), b"again")
        assert server.message().payload == b"again"


def test_a_disconnect_with_will_publishes_it(running, server):
    with running.connect("pi-01", will=will("pi-01")) as device:
        device.send(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
        assert server.message().payload == b"offline"


def test_a_will_to_a_foreign_topic_is_refused_or_never_delivered(running, server):
    device = running.connect("pi-01", will=will("pi-02"))
    assert int(device.greeting.reason_code) == NOT_AUTHORIZED or running.kind == "mosquitto"
    device.cut()
    with running.connect("pi-03", will=will("pi-03")) as other:
        other.send(mqtt5.DisconnectPacket(reason_code=mqtt5.DisconnectReasonCode.DISCONNECT_WITH_WILL_MESSAGE))
        assert server.message().topic == topic("pi-03", "presence")


def test_a_silent_peer_is_dropped_after_its_keep_alive_and_its_will_published(running, server):
    with running.connect("pi-01", keep_alive=1, will=will("pi-01")) as device:
        assert server.message().payload == b"offline"
        assert_dropped(device, 141, running.kind)


def test_an_unacknowledged_message_comes_again_with_dup_after_a_reconnect(running, server):
    device = running.connect("pi-01", session_expiry_interval=60, will=will("pi-01"))
    device.subscribe(topic("pi-01", "command"))
    server.publish(topic("pi-01", "command"), b"first")
    first = device.message(acknowledge=False)
    device.cut()
    assert server.message().payload == b"offline"
    server.publish(topic("pi-01", "command"), b"second")
    with running.connect("pi-01", clean_start=False, session_expiry_interval=0) as device:
        assert device.greeting.session_present
        again = device.message()
        assert (again.payload, again.duplicate, again.packet_id) == (b"first", True, first.packet_id)
        following = device.message()
        assert (following.payload, following.duplicate) == (b"second", False)
        device.disconnect()


def test_a_wrong_password_is_refused_without_kicking_the_real_device(running):
    with running.connect("pi-01") as device:
        with Client(running.port, "pi-01", "wrong") as thief:
            assert int(thief.greeting.reason_code) in {134, 135}
        assert device.is_quiet()


@pytest.mark.parametrize(("name", "password"), [("nobody", PASSWORD), ("server", PASSWORD), ("", ""), ("pi-01", "")])
def test_who_is_not_known_is_not_let_in(running, name, password):
    with Client(running.port, name, password, client_id="any") as stranger:
        assert int(stranger.greeting.reason_code) in {134, 135}


def test_the_same_device_takes_its_session_over(running):
    with running.connect("pi-01") as old, running.connect("pi-01") as new:
        assert_dropped(old, 142, running.kind)
        assert new.is_quiet()


def test_another_device_can_not_take_a_session_over_by_its_client_id(running):
    with running.connect("pi-01") as device, running.connect("pi-02", client_id="pi-01") as thief:
        assert int(thief.greeting.reason_code) == 0
        assert device.is_quiet()
        assert thief.is_quiet()


def test_an_oversized_message_is_refused(running):
    with running.connect_server() as server, running.connect("pi-01") as device:
        server.subscribe(topic("pi-01", "window"))
        assert device.publish(topic("pi-01", "window"), bytes(256 * 1024)) in {0, 16}
        assert len(server.message().payload) == 256 * 1024
        device.send(mqtt5.PublishPacket(topic("pi-01", "window"), bytes(300 * 1024), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=99))
        frame = read_frame(device.sock)  # bare: mosquitto answers with a code that PUBACK does not have
        assert not frame or (frame[0] >> 4, frame[-1] if len(frame) < 5 else frame[4]) in {(14, 149), (4, 149), (14, 0)}, frame.hex()
        assert server.is_quiet()


def test_a_session_ends_when_its_expiry_is_over(running, server):
    running.connect("pi-03", session_expiry_interval=1, will=will("pi-03")).cut()
    assert server.message().payload == b"offline"
    time.sleep(3.5)  # the time itself is what is tested; mosquitto looks for ended sessions once in a while only
    with running.connect("pi-03", clean_start=False) as device:
        assert not device.greeting.session_present


def test_the_receive_maximum_of_a_client_is_kept(running):
    with running.connect_server() as server, running.connect("pi-01", receive_max=2) as device:
        device.subscribe(topic("pi-01", "command"))
        for number in range(4):
            server.publish(topic("pi-01", "command"), b"%d" % number)
        first, second = device.message(acknowledge=False), device.message(acknowledge=False)
        assert device.is_quiet()
        for packet in (first, second):
            device.send(mqtt5.PubAckPacket(packet.packet_id))
        assert [device.message().payload for _ in range(2)] == [b"2", b"3"]


def test_a_message_expires_while_its_receiver_is_away(running, server):
    device = running.connect("pi-02", session_expiry_interval=60, will=will("pi-02"))
    device.subscribe(topic("pi-02", "command"))
    device.cut()
    assert server.message().payload == b"offline"
    server.publish(topic("pi-02", "command"), b"short", message_expiry_interval=1)
    server.publish(topic("pi-02", "command"), b"long", message_expiry_interval=600)
    time.sleep(1.2 if running.kind == "embedded" else 2.1)  # mosquitto counts whole seconds
    with running.connect("pi-02", clean_start=False, session_expiry_interval=0) as device:
        message = device.message()
        assert message.payload == b"long"
        assert 500 < message.message_expiry_interval <= 600
        device.disconnect()


def test_no_local_and_retain_handling_are_respected(running):
    with running.connect_server() as server:
        assert server.subscribe("shared/room", no_local=True) == 1
        server.publish("shared/room", b"my own")
        assert server.is_quiet()
        server.publish("shared/kept", b"kept", retain=True)
        never, once = mqtt5.RetainHandling.SEND_NEVER, mqtt5.RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS
        server.subscribe("shared/kept", retain_handling=never)
        assert server.is_quiet()
        server.subscribe("shared/+", retain_handling=once)
        assert server.message().payload == b"kept"
        server.subscribe("shared/+", retain_handling=once)
        assert server.is_quiet()
        server.publish("shared/kept", b"", retain=True)


def test_a_revoked_device_is_cut_off_and_a_new_one_let_in(running):
    running.devices.verifiers["pi-09"] = running.devices.verifiers["pi-01"]
    running.call(running.broker.admit("pi-09"))
    wait_until(lambda: _is_let_in(running, "pi-09"))
    with running.connect("pi-09") as device:
        del running.devices.verifiers["pi-09"]
        running.call(running.broker.expel("pi-09"))
        packet = device.receive()
        assert packet is None or isinstance(packet, mqtt5.DisconnectPacket)
    assert not _is_let_in(running, "pi-09")


def _is_let_in(running, name):
    with running.connect(name) as device:
        return int(device.greeting.reason_code) == 0
