"""What every source gives and every source's options go through."""

import os
import re
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np

from contract.codec import shorten

T = TypeVar("T")

_NO_TEXT = re.compile("[\ud800-\udfff]")

OWN_PARTS = frozenset(
    {
        "capture_wishes.json",
        "captured",
        "config.json",
        "config.last_good.json",
        "hooks",
        "identity",
        "inbox",
        "objects",
        "run",
        "secrets",
        "slots",
        "state",
        "trust",
        "tuf",
        "versions",
    }
)
"""Names in the agent's folder that no path of a document may lead into."""


class SourceError(Exception):
    """A source can not be opened or has failed: its options, a missing file, a device."""


class SourceSample(NamedTuple):
    """One sample with a name for people (a file's name, a row's number)."""

    name: str
    sample: dict[str, np.ndarray]


class SourceDropped(NamedTuple):
    """Samples that were lost, how many, and why."""

    name: str
    reason: str
    amount: int = 1


class SourceNotice(NamedTuple):
    """A live source has trouble, or is over it. `failed`: it has never given a sample since it was opened."""

    text: str
    failed: bool = False


Item = SourceSample | SourceDropped | SourceNotice


class Source(Protocol):
    """An opened source. `live_slots` samples may wait before the oldest makes room; 0: a file, which waits."""

    live_slots: int

    def items(self) -> AsyncGenerator[Item, None]:
        """Samples at the source's own pace; ends where the source ends."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Root of the options of sources and sinks; an unknown one is refused."""


def read_options(kind: str, options: Mapping[str, Any], into: type[T]) -> T:
    """The options of a document as a struct.

    Raises:
        SourceError: one is unknown, missing or of the wrong type.
    """
    try:
        return msgspec.convert(dict(options), into)
    except msgspec.ValidationError as error:
        known = ", ".join(field.name for field in msgspec.structs.fields(into))  # type: ignore[arg-type]
        raise SourceError(f"the options of {kind} are not valid: {shorten(error)}; known are {known}") from error


def name_of_file(path: Path, folder: Path) -> str:
    """A file's name below a folder, for people and documents: bytes that are no text are replaced."""
    return text_of_name(path.relative_to(folder).as_posix())


def text_of_name(name: str) -> str:
    """A name of the file system as text that every document can hold: bytes that are no text are replaced."""
    return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", name)


def resolve(path: str, data_folder: Path) -> Path:
    """A path of a document; relative ones lie in the agent's data folder.

    Raises:
        SourceError: it leads into what the agent keeps for itself (keys, pointers, journal), by whatever detour.
    """
    resolved = (data_folder / Path(path).expanduser()).absolute()
    home, real = Path(os.path.realpath(data_folder)), Path(os.path.realpath(resolved))
    if home in real.parents and real.relative_to(home).parts[0] in OWN_PARTS:
        raise SourceError(f"{path} belongs to the agent itself; an application reads and writes elsewhere, e.g. data/{Path(path).name}")
    return resolved
