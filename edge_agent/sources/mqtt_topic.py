"""Messages of an MQTT topic: a picture, a WAV file, or a reading as a JSON object or a line of values, by what the model takes."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_agent.engine.decoding import MAX_BODY_BYTES, decode_image
from edge_agent.engine.errors import InputError
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import decode_wav, frame_waveform, takes_sound
from edge_agent.sources.broker_client import BrokerAddress, BrokerClient, BrokerOptions
from edge_agent.sources.live import LivePolicy, Mailbox, ThreadedSource
from edge_agent.sources.readings import READING_MAX_BYTES, Readings, decode_fields
from edge_agent.sources.sound_windows import plan_windows
from edge_agent.sources.source import SourceError

POLICY = LivePolicy(slots=16)
Sample = dict[str, np.ndarray]


class MqttOptions(BrokerOptions, frozen=True, kw_only=True):
    """`topic` may hold `+` and `#`. `format`, `separator`, `columns` and `hop` are for readings, as in the source `serial`."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    qos: Literal[0, 1] = 0
    format: Literal["json", "columns"] = "json"
    separator: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    columns: tuple[str, ...] = ()
    hop: Annotated[int, msgspec.Meta(ge=1)] = 1


class MessageDecoder:
    """A message's bytes to samples."""

    def __init__(self, options: MqttOptions, spec: ModelSpec) -> None:
        """Raises SourceError where the model takes nothing that a message can be."""
        self._options = options
        self._input = spec.inputs[0].name
        self._image = len(spec.inputs) == 1 and spec.inputs[0].dtype == "uint8"
        self._sound = plan_windows(spec, 0, 0) if takes_sound(spec) else None
        self._readings = None if self._image or self._sound else Readings(spec, options.columns, options.hop)

    def decode(self, payload: bytes) -> Sample | None:
        """A sample; None where a reading completes none.

        Raises:
            InputError: it is too large or not what the model takes.
        """
        limit = READING_MAX_BYTES if self._readings else MAX_BODY_BYTES
        if len(payload) > limit:
            raise InputError(f"the message has {len(payload)} bytes, at most {limit} are accepted")
        if self._image:
            return {self._input: decode_image(payload)}
        if self._sound is not None:
            return self._decode_sound(payload)
        return self._decode_reading(payload)

    def _decode_sound(self, payload: bytes) -> Sample:
        if self._sound is None:
            raise InputError("the model takes no sound")
        sound = decode_wav(payload)
        self._sound.check_rate(sound.rate_hz)
        length, hop = self._sound.samples_of(sound)
        windows = frame_waveform(sound.samples, length, hop, pad_end=True)
        if len(windows) > 1:
            raise InputError(f"the message holds {len(sound.samples)} samples of sound, the model takes {length} at once")
        return {self._input: windows[0]}

    def _decode_reading(self, payload: bytes) -> Sample | None:
        if self._readings is None:
            raise InputError("the model takes no readings")
        if self._options.format == "json":
            return self._readings.take(decode_fields(payload))
        return self._readings.take_line(payload.decode(errors="replace").strip(), self._options.separator)

    def interrupt(self) -> None:
        """Messages were lost."""
        if self._readings is not None:
            self._readings.interrupt()


class MqttCapture:
    """Takes messages until told to stop or the connection is lost."""

    def __init__(self, options: MqttOptions, decoder: MessageDecoder, address: BrokerAddress) -> None:
        self._options = options
        self._decoder = decoder
        self._address = address
        self._number = 0

    def __call__(self, box: Mailbox) -> None:
        """See `edge_agent.sources.live.Capture`."""
        self._decoder.interrupt()
        client = BrokerClient(self._address, lambda topic, payload: self._take(box, topic, payload))
        try:
            client.subscribe(self._options.topic, self._options.qos)
            while not box.stopped.is_set():
                client.serve()
        finally:
            client.close()

    def _take(self, box: Mailbox, topic: str, payload: bytes) -> None:
        self._number += 1
        box.put_built(f"{topic[:200]}:{self._number}", lambda: self._decoder.decode(payload))


def open_source(options: MqttOptions, spec: ModelSpec, data_folder: Path) -> ThreadedSource:
    """Check address, secrets and model; a broker that is away is waited for. Raises `SourceError`."""
    if not spec.inputs:
        raise SourceError("the model takes no input")
    capture = MqttCapture(options, MessageDecoder(options, spec), BrokerAddress(options, data_folder))
    return ThreadedSource(f"topic {options.topic[:80]}", capture, POLICY)
