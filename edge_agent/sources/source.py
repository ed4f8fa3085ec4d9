"""What every source gives and every source's options go through."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")


class SourceError(Exception):
    """A source can not be opened or has failed: its options, a missing file, a device."""


class SourceSample(NamedTuple):
    """One sample with a name for people (a file's name, a row's number)."""

    name: str
    sample: dict[str, np.ndarray]


class SourceDropped(NamedTuple):
    """A sample that was lost, and why."""

    name: str
    reason: str


class Source(Protocol):
    """An opened source."""

    def items(self) -> AsyncIterator[SourceSample | SourceDropped]:
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
        raise SourceError(f"the options of {kind} are not valid: {error}; known are {known}") from error


def resolve(path: str, data_folder: Path) -> Path:
    """A path of a document; relative ones lie in the agent's data folder."""
    return (data_folder / Path(path).expanduser()).absolute()
