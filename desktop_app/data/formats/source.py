"""What a source format promises: recognise a path, open it, give its items one by one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from desktop_app.data.columns import Column
from desktop_app.jobs.context import Report


class ImportOptions(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a user may say about a source; each format reads what concerns it.

    Tables: `target` names the target column (empty: the last), `delimiter` (empty: found by
    looking), `header` (None: found by looking), `encoding`.
    """

    target: str = ""
    delimiter: Annotated[str, msgspec.Meta(max_length=1)] = ""
    header: bool | None = None
    encoding: str = ""


class KnownColumns(NamedTuple):
    """The columns that the project's earlier tables have; `target` empty where there was none."""

    features: tuple[Column, ...] = ()
    target: str = ""


class Refused(msgspec.Struct, frozen=True):
    """Something that was not taken, and why; `name` is plain text."""

    name: str
    reason: str


class Taken(msgspec.Struct, frozen=True):
    """One item as read: verified, with its digest. `body` is an image's bytes, `row` a table row's canonical JSON."""

    name: str
    sha256: str
    group_key: str
    label: str | None
    size_bytes: int
    given_split: str = ""
    width: int = 0
    height: int = 0
    body: bytes | None = None
    row: str | None = None


class OpenedSource(NamedTuple):
    """A source ready to be read: `total` items of `unit` at most; `notes` are guesses and findings, in words."""

    total: int
    unit: str
    items: Iterator[Taken | Refused]
    label_source: str
    columns: tuple[Column, ...] = ()
    target: str = ""
    notes: tuple[str, ...] = ()
    missing: dict[str, int] = {}  # noqa: RUF012  (a NamedTuple's default, never changed)


class Format(NamedTuple):
    """One source format."""

    name: str
    title: str
    task: str
    recognises: Callable[[Path], bool]
    open_source: Callable[[Path, ImportOptions, KnownColumns, Report], OpenedSource]
