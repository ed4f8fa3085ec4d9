"""What a model takes and what was given to it instead, in words for who runs a batch."""

import itertools
from collections import Counter
from pathlib import Path

from edge_agent.engine.model_spec import ModelSpec
from edge_agent.engine.waveforms import rate_of, takes_sound
from edge_agent.sources.folder import IMAGE_SUFFIXES
from edge_agent.sources.parquet_rows import PARQUET_SUFFIXES
from edge_agent.sources.readings import takes_series
from edge_agent.sources.wav_files import WAV_SUFFIXES

IMAGE, SOUND, TABLE = "image", "WAV file", "table"
_KIND_BY_SUFFIX = {
    **dict.fromkeys(IMAGE_SUFFIXES, IMAGE),
    **dict.fromkeys(WAV_SUFFIXES, SOUND),
    **dict.fromkeys((".csv", *PARQUET_SUFFIXES), TABLE),
}
_MOST_LOOKED_AT = 10_000


def kind_of_model(spec: ModelSpec) -> str:
    """What the model takes: `IMAGE`, `SOUND` or `TABLE`."""
    if len(spec.inputs) == 1 and spec.inputs[0].dtype == "uint8":
        return IMAGE
    return SOUND if takes_sound(spec) else TABLE


def expected_words(spec: ModelSpec) -> str:
    """What the model takes, and what to give it."""
    kind = kind_of_model(spec)
    if kind == IMAGE:
        return "the model takes images: give it image files or folders of them"
    if kind == SOUND:
        rate_hz = rate_of(spec.inputs[0])
        return f"the model takes sounds{f' of {rate_hz} samples per second' if rate_hz else ''}: give it WAV files or folders of them"
    if takes_series(spec):
        width = spec.inputs[0].shape[1]
        return f"the model takes readings of {width} values: give it CSV files or Parquet files with {width} columns"
    columns = ", ".join(tensor.name for tensor in spec.inputs)
    return f"the model takes rows of CSV files or Parquet files: give it files with the columns {columns[:300]}"


def other_kind_words(path: Path, spec: ModelSpec) -> str:
    """What is wrong with a file whose name says that it is of another kind than the model takes; empty where it does not say so."""
    kind = _KIND_BY_SUFFIX.get(path.suffix.lower())
    article = "an" if kind == IMAGE else "a"
    return "" if kind in {None, kind_of_model(spec)} else f"this is {article} {kind} by its name; {expected_words(spec)}"


def count_left_out(folder: Path, spec: ModelSpec) -> int:
    """How many files of a folder are not what the model takes, by their names; hidden ones do not count."""
    kind = kind_of_model(spec)
    others = (path for path in folder.rglob("[!.]*") if _KIND_BY_SUFFIX.get(path.suffix.lower()) != kind)
    return sum(path.is_file() for path in others)


def folder_words(folder: Path) -> str:
    """What a folder holds, by the names of its files."""
    files = (path for path in folder.rglob("*") if path.is_file())
    counts = Counter(_KIND_BY_SUFFIX.get(path.suffix.lower(), "other file") for path in itertools.islice(files, _MOST_LOOKED_AT))
    return ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(counts.items())) or "nothing"
