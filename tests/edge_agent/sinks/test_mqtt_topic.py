import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from contract.application import Sink
from edge_agent.sinks import mqtt_topic
from edge_agent.sinks.outgoing import QueuePolicy
from edge_agent.sinks.table import open_sink
from edge_agent.sources.source import SourceError
from tests.edge_agent.sinks.test_sinks import RECORD
from tests.simulators.brokers import Mosquitto
from tests.simulators.certificates import write_certificate
from tests.simulators.waiting import wait_until


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mosquitto]:
    monkeypatch.setattr(mqtt_topic, "QueuePolicy", lambda length: QueuePolicy(length, 0.01, 0.05))
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.close()


def subscribe(port: int, topic: str, heard: list[dict]) -> paho.Client:
    subscribed: list[bool] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append(json.loads(message.payload))
    client.on_subscribe = lambda *_: subscribed.append(True)
    client.on_connect = lambda client, *_: client.subscribe(topic, 1)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(lambda: bool(subscribed))
    return client


@pytest.mark.parametrize("protocol", [4, 5])
def test_records_arrive_in_order(broker: Mosquitto, tmp_path: Path, protocol: int) -> None:
    heard: list[dict] = []
    client = subscribe(broker.port, "cell/7/seen", heard)
    sink = open_sink(Sink("mqtt", {"url": f"mqtt://127.0.0.1:{broker.port}", "topic": "cell/7/seen", "protocol": protocol}), tmp_path)
    for number in range(20):
        sink.write(msgspec.structs.replace(RECORD, version=number))
    wait_until(lambda: len(heard) == 20)
    sink.close()
    client.disconnect()
    client.loop_stop()
    assert [record["version"] for record in heard] == list(range(20))
    assert heard[0]["label"] == "red"


def test_what_comes_while_the_broker_is_away_is_sent_when_it_is_back(broker: Mosquitto, tmp_path: Path) -> None:
    broker.close()
    sink = open_sink(Sink("mqtt", {"url": f"mqtt://127.0.0.1:{broker.port}", "topic": "t", "retain": True}), tmp_path)
    sink.write(RECORD)
    wait_until(lambda: "can not be reached" in sink.health.reason)
    broker.open()
    wait_until(lambda: not sink._queue)
    heard: list[dict] = []
    client = subscribe(broker.port, "t", heard)
    wait_until(lambda: len(heard) == 1)  # retained
    sink.close()
    client.disconnect()
    client.loop_stop()


def test_over_tls_with_a_password_that_the_document_does_not_hold(tmp_path: Path, broker: Mosquitto) -> None:
    certificate = write_certificate(tmp_path)
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "passwords"), "line-7", "hush"], check=True, capture_output=True)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hall").write_text("hush\n")
    broker.close()
    broker._config.write_text(
        f"listener {broker.port} 127.0.0.1\nallow_anonymous false\npersistence false\npassword_file {tmp_path / 'passwords'}\n"
        f"certfile {certificate.certificate}\nkeyfile {certificate.key}\nuser root\n"
    )
    broker.open()
    options = {"url": f"mqtts://127.0.0.1:{broker.port}", "topic": "t", "username": "line-7", "ca_file": "cert.pem"}
    refused = open_sink(Sink("mqtt", options), tmp_path)
    refused.write(RECORD)
    wait_until(lambda: "refused" in refused.health.reason)
    refused._queue.clear()
    refused.close()
    sink = open_sink(Sink("mqtt", {**options, "password": "hall"}), tmp_path)
    sink.write(RECORD)
    wait_until(lambda: not sink._queue)
    sink.close()
    assert not sink.health.is_broken


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#"])
def test_a_topic_with_wildcards_is_refused(tmp_path: Path, topic: str) -> None:
    with pytest.raises(SourceError, match="not valid"):
        open_sink(Sink("mqtt", {"url": "mqtt://x", "topic": topic}), tmp_path)
