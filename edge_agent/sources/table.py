"""The table of sources."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from contract.application import Source as SourceDocument
from edge_agent.engine.model_spec import ModelSpec
from edge_agent.sources import camera, csv_rows, folder, microphone, mqtt_topic, serial_lines, wav_files
from edge_agent.sources.source import Source, SourceError, read_options


class SourceKind(NamedTuple):
    """One row: the struct of its options and the function that opens it."""

    options: type
    open_source: Callable[[Any, ModelSpec, Path], Source]


SOURCES: Mapping[str, SourceKind] = {
    "folder": SourceKind(folder.FolderOptions, folder.open_source),
    "csv": SourceKind(csv_rows.CsvOptions, csv_rows.open_source),
    "wav": SourceKind(wav_files.WavOptions, wav_files.open_source),
    "serial": SourceKind(serial_lines.SerialOptions, serial_lines.open_source),
    "mqtt": SourceKind(mqtt_topic.MqttOptions, mqtt_topic.open_source),
    "camera": SourceKind(camera.CameraOptions, camera.open_source),
    "microphone": SourceKind(microphone.MicrophoneOptions, microphone.open_source),
}


def open_source(document: SourceDocument, spec: ModelSpec, data_folder: Path) -> Source:
    """Open what an application's document names.

    Raises:
        SourceError: the kind is unknown, an option is wrong, or it can not be opened.
    """
    if document.kind not in SOURCES:
        raise SourceError(f"the source {document.kind[:40]!r} is not supported by this agent version; it knows {', '.join(SOURCES)}")
    kind = SOURCES[document.kind]
    return kind.open_source(read_options(f"source {document.kind}", document.options, kind.options), spec, data_folder)
