"""The table of sinks."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contract.application import Sink as SinkDocument
from edge_agent.sinks import callback, gpio_pin, jsonl, mqtt_topic, webhook
from edge_agent.sinks.sink import Sink, SinkError
from edge_agent.sources.source import read_options


class SinkKind(NamedTuple):
    """One row: the struct of its options, the function that opens it, and what to do while it is broken."""

    options: type
    open_sink: Callable[[Any, Path], Sink]
    advice: str


SINKS: Mapping[str, SinkKind] = {
    "jsonl": SinkKind(jsonl.JsonlOptions, jsonl.open_sink, jsonl.ADVICE),
    "mqtt": SinkKind(mqtt_topic.MqttSinkOptions, mqtt_topic.open_sink, mqtt_topic.ADVICE),
    "webhook": SinkKind(webhook.WebhookOptions, webhook.open_sink, webhook.ADVICE),
    "gpio": SinkKind(gpio_pin.GpioOptions, gpio_pin.open_sink, gpio_pin.ADVICE),
    "callback": SinkKind(callback.CallbackOptions, callback.open_sink, callback.ADVICE),
}


def open_sink(document: SinkDocument, data_folder: Path) -> Sink:
    """Open what an application's document names.

    Raises:
        SourceError: the kind is unknown, an option is wrong, or it can not be opened.
    """
    if document.kind not in SINKS:
        raise SinkError(f"the sink {document.kind[:40]!r} is not supported by this agent version; it knows {', '.join(SINKS)}")
    kind = SINKS[document.kind]
    return kind.open_sink(read_options(f"sink {document.kind}", document.options, kind.options), data_folder)
