"""The embedded listener against clients that do not behave."""

import asyncio
import contextlib
import logging
import socket
import ssl
import time

import aiomqtt
import mqtt5
import paho.mqtt.client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from fleet_server.broker.access import DeviceIdentity, FleetAuthenticator, ServerIdentity
from fleet_server.broker.limits import Limits
from fleet_server.broker.listener import start_listener
from fleet_server.broker.opening import open_broker
from fleet_server.broker.settings import BrokerError
from tests.fleet_server.broker.clients import (
    FLEET,
    PASSWORD,
    QOS,
    Client,
    Devices,
    broker_in_thread,
    listener_in_thread,
    settings_of,
    topic,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what a panic of the codec leaves
SMALL = Limits(
    payload_bytes=4096,
    connect_bytes=1024,
    sweep_s=0.05,
    connect_timeout_s=0.3,
    unsent_bytes=200_000,
    subscriptions_per_session=3,
    malformed_connects=1_000_000,
)
DEVICES = Devices("pi-01", "pi-02")


@pytest.fixture(scope="module")
def running():
    authenticator = FleetAuthenticator(FLEET, "server-password", DEVICES.find_verifier)
    with listener_in_thread(authenticator, limits=SMALL) as running:
        yield running


@pytest.fixture
def server(running):
    with Client(running.port, "server", "server-password") as client:
        yield client


@pytest.fixture
def device(running):
    with Client(running.port, "pi-01", PASSWORD) as client:
        yield client


def closed_by(client):
    """The reason that DISCONNECT gave, None where the connection was closed without one."""
    packet = client.receive()
    if packet is None:
        return None
    assert isinstance(packet, mqtt5.DisconnectPacket)
    assert client.receive() is None
    return int(packet.reason_code)


CONNECT = mqtt5.ConnectPacket("pi-01", username="pi-01", password=PASSWORD.encode(), keep_alive=60).write()
GOOD = [
    mqtt5.ConnectPacket("pi-02", username="pi-02", password=PASSWORD.encode(), keep_alive=60).write(),
    mqtt5.PublishPacket(topic("pi-01", "hello"), b"payload", qos=QOS[1], packet_id=7).write(),
    mqtt5.SubscribePacket(3, [mqtt5.TopicFilter(topic("pi-01", "desired"))]).write(),
    mqtt5.PingReqPacket().write(),
    mqtt5.PubAckPacket(9).write(),
]


@st.composite
def mutated(draw):
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 4))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


def test_malformed_bytes_cost_one_connection_and_others_go_on(running, server, device):
    device.subscribe(topic("pi-01", "command"))

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.booleans(), st.lists(st.binary(max_size=60) | mutated(), min_size=1, max_size=3))
    def attack(greeted, pieces):
        with Client(running.port, "pi-02", PASSWORD, connect=False) as attacker, contextlib.suppress(ConnectionError):
            if greeted:
                attacker.send(mqtt5.ConnectPacket("pi-02", username="pi-02", password=PASSWORD.encode()))
                attacker.receive()
            for piece in pieces:
                attacker.send(piece)

    attack()
    server.publish(topic("pi-01", "command"), b"still here")
    assert device.message().payload == b"still here"
    wait_until(lambda: running.counts()["connections"] == 2)


def test_a_client_of_mqtt_3_gets_its_own_kind_of_refusal_and_a_line_in_the_log(running, caplog):
    with caplog.at_level(logging.WARNING), Client(running.port, "old", "", connect=False) as client:
        client.send(bytes.fromhex("100d00044d51545404000 03c000178".replace(" ", "")))
        assert client.sock.recv(100) == bytes.fromhex("20020001")
        assert client.sock.recv(100) == b""
    assert "MQTT 5 only" in caplog.text


def test_paho_with_mqtt_3_is_told_that_the_version_is_wrong(running):
    codes = []
    client = paho.mqtt.client.Client(CallbackAPIVersion.VERSION2, protocol=paho.mqtt.client.MQTTv311)
    client.on_connect = lambda _client, _data, _flags, code, _properties: codes.append(str(code))
    client.connect("127.0.0.1", running.port)
    client.loop_start()
    wait_until(lambda: codes)
    client.loop_stop()
    assert "Unsupported protocol version" in codes[0]


def test_who_connects_and_says_nothing_is_cut_off(running):
    with Client(running.port, "x", "", connect=False) as client:
        started = time.monotonic()
        assert client.receive() is None
        assert time.monotonic() - started < 3


def test_who_is_not_greeted_yet_can_send_only_a_small_packet(running):
    with Client(running.port, "x", "", connect=False) as client:
        client.send(bytes.fromhex("10ffff03") + b"x" * 10)
        assert client.receive() is None


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (mqtt5.ConnectPacket("pi-01"), 130),
        (mqtt5.PublishPacket("a", b"", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1), 155),
        (mqtt5.PublishPacket("a/x", b"").write().replace(b"a/x", b"a/#"), 144),
        (mqtt5.PublishPacket("$SYS/a", b""), 144),
        (bytes.fromhex("30ffffff7f"), 149),
        (bytes.fromhex("3005000261ff00"), 129),
        (mqtt5.DisconnectPacket(session_expiry_interval=60), 130),
    ],
)
def test_who_breaks_the_protocol_is_told_and_closed(device, packet, code):
    device.send(packet)
    assert closed_by(device) == code


def test_a_payload_at_the_bound_passes_and_one_above_is_refused(server):
    assert server.publish("a", bytes(4096)) == 0
    assert server.publish("a", bytes(4097)) == 151  # within the packet's bound, above the payload's
    server.send(mqtt5.PublishPacket("a", bytes(20_000)))
    assert closed_by(server) == 149


@pytest.mark.parametrize(("topic_filter", "code"), [("$share/group/a", 158), ("t/" * 40, 143), ("ok/#", 1)])
def test_subscriptions_are_answered_with_their_reason(server, topic_filter, code):
    assert server.subscribe(topic_filter) == code


def test_an_invalid_filter_is_refused_by_its_own_code(server):
    server.send(mqtt5.SubscribePacket(9, [mqtt5.TopicFilter("ax"), mqtt5.TopicFilter("b")]).write().replace(b"ax", b"a#"))
    assert [int(code) for code in server.receive(mqtt5.SubAckPacket).reason_codes] == [143, 1]


def test_a_session_has_a_bound_of_subscriptions(server):
    assert [server.subscribe(f"t/{number}") for number in range(4)] == [1, 1, 1, 151]
    assert server.subscribe("t/0", qos=0) == 0  # replacing one is no further one


def test_several_filters_are_answered_one_by_one_and_can_be_taken_back(device):
    filters = [mqtt5.TopicFilter(topic("pi-01", "desired")), mqtt5.TopicFilter(topic("pi-02", "desired"))]
    device.send(mqtt5.SubscribePacket(5, filters))
    assert [int(code) for code in device.receive(mqtt5.SubAckPacket).reason_codes] == [1, 135]
    device.send(mqtt5.UnsubscribePacket(6, [topic("pi-01", "desired"), "never"]))
    assert [int(code) for code in device.receive(mqtt5.UnsubAckPacket).reason_codes] == [0, 17]


def test_a_client_that_does_not_read_is_cut_off_and_the_publisher_goes_on(running, server):
    with Client(running.port, "pi-01", PASSWORD, client_id="slow") as slow:
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.subscribe(topic("pi-01", "command"))
        for _ in range(3000):
            server.publish(topic("pi-01", "command"), bytes(4000), qos=0)
        wait_until(lambda: running.counts()["online"] == 1)
        assert server.is_quiet()


def test_the_greeting_states_what_is_offered(running):
    with Client(running.port, "pi-01", PASSWORD, client_id="", keep_alive=0, session_expiry_interval=0xFFFFFFFF) as client:
        pass
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        sock.sendall(mqtt5.ConnectPacket("", username="pi-01", password=PASSWORD.encode(), session_expiry_interval=0xFFFFFFFF).write())
        client.sock = sock
        greeting = client.receive(mqtt5.ConnAckPacket)
    assert int(greeting.max_qos) == 1
    assert greeting.assigned_client_id
    assert greeting.server_keep_alive == SMALL.keep_alive_s
    assert greeting.session_expiry_interval == SMALL.session_expiry_s
    assert not greeting.shared_subscription_available
    assert greeting.max_packet_size == SMALL.packet_bytes


def test_another_kind_of_authentication_is_refused(running):
    with Client(running.port, "pi-01", PASSWORD, authentication_method="SCRAM") as client:
        assert int(client.greeting.reason_code) == 140


class Slow:
    """Decides later, as one that asks a database elsewhere."""

    def __init__(self):
        self.waiting = 0

    async def authenticate(self, username, password):
        self.waiting += 1
        await asyncio.sleep(0.05)
        if password == b"boom":
            raise RuntimeError("the database is gone")
        if username == "server":
            return ServerIdentity()
        return DeviceIdentity(FLEET, username) if password == PASSWORD.encode() else None


def test_an_authenticator_may_take_its_time_and_packets_sent_meanwhile_wait():
    with listener_in_thread(Slow(), limits=SMALL) as running:
        with Client(running.port, "pi-01", PASSWORD, connect=False) as client:
            client.send(CONNECT + mqtt5.PublishPacket(topic("pi-01", "hello"), b"x", qos=QOS[1], packet_id=1).write())
            assert int(client.receive(mqtt5.ConnAckPacket).reason_code) == 0
            assert int(client.receive(mqtt5.PubAckPacket).reason_code) == 0
        for password in ("wrong", "boom"):
            with Client(running.port, "pi-01", password) as client:
                assert int(client.greeting.reason_code) == 134
        Client(running.port, "pi-01", PASSWORD, connect=False).cut()


def test_an_address_that_keeps_sending_rubbish_is_turned_away_and_the_connected_stay():
    limits = Limits(malformed_connects=3, malformed_window_s=60.0, sweep_s=0.05)
    with listener_in_thread(Slow(), limits=limits) as running, Client(running.port, "pi-01", PASSWORD) as device:
        for _ in range(3):
            with Client(running.port, "x", "", connect=False) as attacker:
                attacker.send(b"GET / HTTP/1.1\r\n\r\n")
                assert attacker.receive() is None
        with Client(running.port, "x", "", connect=False) as attacker:
            assert attacker.receive() is None
        assert device.is_quiet()


def test_a_listener_that_is_full_turns_newcomers_away():
    with listener_in_thread(Slow(), limits=Limits(connections=1)) as running, Client(running.port, "pi-01", PASSWORD) as device:
        with Client(running.port, "pi-02", PASSWORD, connect=False) as second:
            assert second.receive() is None
        assert device.is_quiet()


def test_at_its_end_the_listener_tells_everyone_and_publishes_no_will():
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(listener_in_thread(Slow(), limits=SMALL))
        will = mqtt5.Will(topic("pi-01", "presence"), payload=b"offline")
        watcher = stack.enter_context(Client(running.port, "server", "any"))
        watcher.subscribe("#")
        device = stack.enter_context(Client(running.port, "pi-01", PASSWORD, will=will))
        running.stop()
        assert closed_by(device) == closed_by(watcher) == 139


def test_the_server_may_publish_without_a_connection_and_cut_a_name_off(running, device):
    device.subscribe(topic("pi-01", "command"))
    running.in_loop(lambda listener: listener.publish_local(topic("pi-01", "command"), b"direct"))
    assert device.message().payload == b"direct"
    assert running.in_loop(lambda listener: listener.disconnect("pi-01")) >= 1
    assert closed_by(device) == 152


async def _exchange(port, **options):
    server_options = {"username": "server", "password": "server-password", "protocol": aiomqtt.ProtocolVersion.V5, **options}
    device_options = {"username": "pi-01", "password": PASSWORD, "protocol": aiomqtt.ProtocolVersion.V5, **options}
    async with aiomqtt.Client("127.0.0.1", port, **server_options) as server, aiomqtt.Client("127.0.0.1", port, **device_options) as device:
        await server.subscribe("eyelet/v1/demo/+/hello", qos=1)
        await device.subscribe(topic("pi-01", "desired"), qos=1)
        await server.publish(topic("pi-01", "desired"), b"wish", qos=1, retain=True)
        await device.publish(topic("pi-01", "hello"), b"hello", qos=1)
        return (await anext(aiter(server.messages))).payload, (await anext(aiter(device.messages))).payload


def test_aiomqtt_and_paho_speak_with_it(running):
    assert asyncio.run(asyncio.wait_for(_exchange(running.port), 10)) == (b"hello", b"wish")


def make_certificate(folder):
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fleet.example")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*pem))
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("choice", ["embedded", "mosquitto"])
def test_with_a_certificate_clients_use_tls_and_plain_ones_are_closed(tmp_path, choice):
    from fleet_server.broker.mosquitto import find_mosquitto

    if choice == "mosquitto" and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    certificate, key = make_certificate(tmp_path)
    with broker_in_thread(settings_of(choice, tmp_path / "broker", tls_cert=certificate, tls_key=key), "pi-01") as running:
        address = running.broker.address
        assert address.url == f"mqtts://127.0.0.1:{running.port}"
        context = ssl.create_default_context(cafile=certificate)
        options = {"tls_context": address.ssl_context()}
        server = {"username": "server", "password": address.password}

        async def exchange():
            both = {"protocol": aiomqtt.ProtocolVersion.V5}
            async with (
                aiomqtt.Client("127.0.0.1", running.port, **server, **options, **both) as one,
                aiomqtt.Client("127.0.0.1", running.port, username="pi-01", password=PASSWORD, tls_context=context, **both) as two,
            ):
                await two.subscribe(topic("pi-01", "desired"))
                await one.publish(topic("pi-01", "desired"), b"secret", qos=1)
                return (await anext(aiter(two.messages))).payload

        assert asyncio.run(asyncio.wait_for(exchange(), 10)) == b"secret"
        with Client(running.port, "pi-01", PASSWORD, connect=False) as plain:
            plain.send(CONNECT)
            with contextlib.suppress(ValueError):
                assert plain.receive() is None


def test_a_taken_port_is_said_in_words(tmp_path):
    async def start(port):
        async with open_broker(settings_of("embedded", tmp_path, port=port), Devices()):
            pass

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerError, match="Is another server running"):
            asyncio.run(start(taken.getsockname()[1]))


def test_the_listener_needs_no_thread_of_its_own():
    async def live():
        async with start_listener("127.0.0.1", 0, Slow()) as listener:
            return listener.port, listener.counts()

    port, counts = asyncio.run(live())
    assert port > 0
    assert counts == {"sessions": 0, "online": 0, "retained": 0, "connections": 0}
