"""Each record as a JSON message to an MQTT topic; with QoS 1 it leaves the queue once the broker has it."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_agent.sinks.outgoing import QueuedSink, QueuePolicy, UnsentError
from edge_agent.sinks.sink import Record
from edge_agent.sources.broker_client import BrokerAddress, BrokerClient, BrokerOptions
from edge_agent.sources.source import SourceError

ADVICE = "Check the broker, its account and the network; what waits is sent when it answers again"


class MqttSinkOptions(BrokerOptions, frozen=True, kw_only=True):
    """`topic` without wildcards; `retain` keeps the newest record at the broker; `queue` records may wait."""

    topic: Annotated[str, msgspec.Meta(pattern=r"^[^+#\x00]{1,1024}$")]
    qos: Literal[0, 1] = 1
    retain: bool = False
    queue: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1000


class MqttSender:
    """Publishes; opens a connection when there is something to send, and keeps it."""

    def __init__(self, options: MqttSinkOptions, data_folder: Path) -> None:
        """Raises SourceError where the address is none or a secret is missing."""
        self._options = options
        self._address = BrokerAddress(options, data_folder)
        self._client: BrokerClient | None = None

    def send(self, body: bytes, _record: Record) -> None:
        """Publish one record; raises `UnsentError`."""
        try:
            if self._client is None:
                self._client = BrokerClient(self._address)
            self._client.publish(self._options.topic, body, self._options.qos, retain=self._options.retain)
        except SourceError as error:
            self.close()
            raise UnsentError(str(error)) from error

    def idle(self) -> None:
        """Keep the connection alive; a lost one is opened again with the next record."""
        if self._client is None:
            return
        try:
            self._client.serve(0.0)
        except SourceError:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def open_sink(options: MqttSinkOptions, data_folder: Path) -> QueuedSink:
    """Check address and secrets; nothing is sent yet. Raises `SourceError`."""
    return QueuedSink(f"mqtt topic {options.topic[:80]}", MqttSender(options, data_folder), QueuePolicy(options.queue))
