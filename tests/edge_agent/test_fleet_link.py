"""The MQTT link against brokers that Eyelet did not write: presence, messages, coming back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contract.messages import PresenceMessage
from contract.states import Presence
from contract.topics import Channel, build_topic
from edge_agent.fleet_link import FleetLink, LinkAccount, LinkError
from tests.simulators.brokers import Mosquitto


class Owner:
    def __init__(self) -> None:
        self.sessions: list[int] = []
        self.closed = 0
        self.received: list[tuple[Channel, bytes]] = []

    def next_session(self) -> int:
        return 100 + len(self.sessions)

    def link_opened(self, session: int) -> None:
        self.sessions.append(session)

    def link_closed(self) -> None:
        self.closed += 1

    def message_received(self, channel: Channel, payload: bytes) -> None:
        self.received.append((channel, payload))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    yield broker
    broker.close()


@pytest.fixture
def server(broker: Mosquitto) -> Iterator[paho.Client]:
    """A client that hears everything; `presence` holds the last one."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    heard: dict[str, bytes] = {}
    client.user_data_set(heard)
    client.on_connect = lambda client, *_: client.subscribe("eyelet/#", 1)
    client.on_message = lambda _client, heard, message: heard.__setitem__(message.topic.rpartition("/")[2], message.payload)
    client.reconnect_delay_set(1, 1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def account(broker: Mosquitto) -> LinkAccount:
    return LinkAccount(f"mqtt://127.0.0.1:{broker.port}", "home", "pi-01", "secret", "boot")


async def until(condition: object, timeout_s: float = 8.0) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():  # type: ignore[operator]
        assert loop.time() < deadline
        await asyncio.sleep(0.01)


def presence(server: paho.Client) -> PresenceMessage | None:
    data = server.user_data_get().get("presence")
    return msgspec.json.decode(data, type=PresenceMessage) if data else None


def test_it_says_online_hears_its_own_topics_and_says_farewell(broker: Mosquitto, server: paho.Client) -> None:
    async def story() -> None:
        owner = Owner()
        link = FleetLink(account(broker), owner)
        task = asyncio.create_task(link.run())
        await until(lambda: link.connected and presence(server) is not None)
        assert presence(server) == PresenceMessage(1, Presence.ONLINE, 100, "boot")
        server.publish(build_topic("home", "pi-01", Channel.DESIRED), b"wish", 1)
        server.publish(build_topic("home", "pi-02", Channel.DESIRED), b"another's", 1)
        server.publish(build_topic("home", "pi-01", Channel.ACK), b"a" * 300_000, 0)
        server.publish(build_topic("home", "pi-01", Channel.COMMAND), b"command", 1)
        await until(lambda: len(owner.received) == 2)
        assert owner.received == [(Channel.DESIRED, b"wish"), (Channel.COMMAND, b"command")]
        assert link.publish(Channel.EVENT, b"event")
        await until(lambda: server.user_data_get().get("event") == b"event")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: presence(server) == PresenceMessage(1, Presence.OFFLINE, 100, "boot"))
        assert not link.publish(Channel.EVENT, b"nobody hears")

    asyncio.run(story())


def test_it_comes_back_with_a_new_session_after_the_broker_was_killed(broker: Mosquitto, server: paho.Client) -> None:
    async def story() -> None:
        owner = Owner()
        link = FleetLink(account(broker), owner)
        task = asyncio.create_task(link.run())
        await until(lambda: owner.sessions == [100])
        broker.close()
        await until(lambda: owner.closed == 1 and not link.connected)
        await asyncio.to_thread(broker.open)
        await until(lambda: owner.sessions == [100, 101])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(LinkError, match="no mqtt or mqtts address"):
        FleetLink(LinkAccount("http://x", "home", "pi-01", "s", "b"), Owner())
