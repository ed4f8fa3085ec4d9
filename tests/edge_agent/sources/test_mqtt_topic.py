import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from PIL import Image

from contract.application import Source
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources import mqtt_topic
from edge_agent.sources.live import LivePolicy
from edge_agent.sources.source import Item, SourceDropped, SourceError, SourceNotice
from edge_agent.sources.table import open_source
from tests.edge_agent.sources.live_sources import IMAGES, ROWS, SERIES, SOUND, make_wav, ramp, samples, take_until
from tests.simulators.brokers import Mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    mosquitto = Mosquitto(tmp_path)
    yield mosquitto
    mosquitto.close()


def publisher(port: int, messages: list[tuple[str, bytes]], done: Callable[[], bool]) -> Callable[[], None]:
    """Says the messages again and again until somebody has heard enough: nobody knows when the subscriber is there."""

    def publish() -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.connect("127.0.0.1", port)
        client.loop_start()
        deadline = time.monotonic() + 30
        while not done() and time.monotonic() < deadline:
            for topic, payload in messages:
                client.publish(topic, payload, 1).wait_for_publish(10)
            time.sleep(0.02)
        client.disconnect()
        client.loop_stop()

    return publish


def listen(broker: Mosquitto, options: dict, spec: ModelSpec, folder: Path, messages: list[tuple[str, bytes]]) -> list[Item]:
    heard: list[Item] = []

    def enough(found: list[Item]) -> bool:
        heard[:] = found
        kinds = {type(item) for item in found}
        return len(samples(found)) >= 2 and (SourceDropped in kinds or len(messages) == 1)

    document = Source("mqtt", {"url": f"mqtt://127.0.0.1:{broker.port}", **options})
    return take_until(document, spec, folder, enough, meanwhile=publisher(broker.port, messages, lambda: enough(heard)))


def test_readings_of_a_topic_become_rows(broker: Mosquitto, tmp_path: Path) -> None:
    messages = [("door/1/reading", json.dumps({"age": 3, "city": "Bonn"}).encode()), ("door/2/reading", b"[1, 2]")]
    items = listen(broker, {"topic": "door/+/reading", "qos": 1}, ROWS, tmp_path, messages)
    first = samples(items)[0]
    assert (float(first.sample["age"][0]), first.sample["city"][0]) == (3, "Bonn")
    assert first.name.startswith("door/1/reading:")
    dropped = next(item for item in items if isinstance(item, SourceDropped))
    assert "expected a reading as" in dropped.reason


def test_pictures_and_sound_by_what_the_model_takes(broker: Mosquitto, tmp_path: Path) -> None:
    body = io.BytesIO()
    Image.new("RGB", (5, 4), (200, 0, 0)).save(body, "PNG")
    items = listen(broker, {"topic": "gate"}, IMAGES, tmp_path, [("gate", body.getvalue())])
    assert samples(items)[0].sample["frame"][0, 0].tolist() == [200, 0, 0]
    items = listen(broker, {"topic": "hall", "protocol": 4}, SOUND, tmp_path, [("hall", make_wav(ramp(60))), ("hall", make_wav(ramp(160)))])
    np.testing.assert_allclose(samples(items)[0].sample["sound"][:60] * 32768, np.arange(60))
    assert "160 samples of sound, the model takes 100 at once" in next(i.reason for i in items if isinstance(i, SourceDropped))


def test_lines_of_values_fill_windows(broker: Mosquitto, tmp_path: Path) -> None:
    items = listen(broker, {"topic": "t", "format": "columns"}, SERIES, tmp_path, [("t", b"1,2")])
    np.testing.assert_array_equal(samples(items)[0].sample["readings"], [[1, 2]] * 3)


def test_a_broker_that_goes_away_is_waited_for(broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_topic, "POLICY", LivePolicy(16, 0.01, 0.05, 0.1))
    broker.close()
    reopened: list[bool] = []

    def enough(found: list[Item]) -> bool:
        if not reopened and any(isinstance(item, SourceNotice) for item in found):
            broker.open()
            reopened.append(True)
        return bool(samples(found))

    heard: list[Item] = []

    def tell(found: list[Item]) -> bool:
        heard[:] = found
        return enough(found)

    def publish() -> None:
        deadline = time.monotonic() + 30
        while not reopened and time.monotonic() < deadline:
            time.sleep(0.01)
        publisher(broker.port, [("t", b'{"age": 1, "city": "x"}')], lambda: bool(samples(heard)))()

    document = Source("mqtt", {"url": f"mqtt://127.0.0.1:{broker.port}", "topic": "t"})
    items = take_until(document, ROWS, tmp_path, tell, meanwhile=publish)
    notices = [item for item in items if isinstance(item, SourceNotice)]
    assert notices[0].failed
    assert "can not be reached" in notices[0].text
    assert notices[1].text == "topic t gives samples again"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://x", "topic": "t"}, "expected mqtt://host:port"),
        ({"url": "mqtt://me:hush@x", "topic": "t"}, "no account"),
        ({"url": "mqtt://x:99999", "topic": "t"}, "no valid port"),
        ({"url": "mqtt://x", "topic": ""}, "not valid"),
        ({"url": "mqtt://x", "topic": "t", "password": "door"}, "holds no secret 'door'"),
        ({"url": "mqtt://x", "topic": "t", "password": "../identity/password"}, "not valid"),
        ({"url": "mqtts://x", "topic": "t", "ca_file": "absent.pem"}, "can not be read"),
        ({"url": "mqtts://x", "topic": "t", "ca_file": "identity/ca.pem"}, "belongs to the agent itself"),
    ],
)
def test_what_can_not_be_opened_says_why(tmp_path: Path, options: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words) as refused:
        open_source(Source("mqtt", options), ROWS, tmp_path)
    assert "hush" not in str(refused.value)
