"""JSON documents in and out: bound, then parse, then check the schema version, then the type."""

import datetime
from typing import Any, TypeVar

import msgspec

from contract.errors import FormatError, SchemaVersionError, SizeError

T = TypeVar("T")

DOCUMENT_MAX_BYTES = 1 << 20
MESSAGE_MAX_BYTES = 256 * 1024


class _Head(msgspec.Struct):
    schema_version: int = 1


def shorten(error: object, most: int = 300) -> str:
    """An error's words without what a stranger's document could blow them up with."""
    text = str(error)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def encode(document: object) -> bytes:
    """Compact JSON with a fixed key order, so that the same content gives the same bytes."""
    return msgspec.json.encode(document, order="deterministic")


def decode(data: bytes, kind: type[T], what: str, max_bytes: int = DOCUMENT_MAX_BYTES) -> T:
    """Decode a JSON document of at most `max_bytes` as `kind`.

    The result is a view: fields that `kind` does not know are dropped from it, so bytes that are
    signed must be kept and forwarded as they came.

    Raises:
        SizeError: more than `max_bytes`.
        SchemaVersionError: the document's schema version is newer than `kind.SCHEMA_VERSION`.
        FormatError: not JSON, or not of this type.
    """
    if len(data) > max_bytes:
        raise SizeError(f"{what} has {len(data)} bytes, at most {max_bytes} are accepted")
    known = getattr(kind, "SCHEMA_VERSION", None)
    try:
        if known is not None:
            found = msgspec.json.decode(data, type=_Head).schema_version
            if found > known:
                raise SchemaVersionError(what, found, known)
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{what} is not valid: {shorten(error)}") from error


def to_mapping(document: object) -> dict[str, Any]:
    """A struct as plain dictionaries, lists and scalars."""
    mapping: dict[str, Any] = msgspec.to_builtins(document)
    return mapping


def utc_now() -> str:
    """The present time in UTC as ISO 8601 with milliseconds, e.g. `2026-11-24T06:40:47.123Z`."""
    return format_time(datetime.datetime.now(tz=datetime.timezone.utc))


def format_time(moment: datetime.datetime) -> str:
    """An aware time as ISO 8601 in UTC with milliseconds."""
    utc = moment.astimezone(datetime.timezone.utc)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"


def parse_time(text: str) -> datetime.datetime:
    """Read ISO 8601 with an offset or `Z`.

    Raises:
        FormatError: not such a time.
    """
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise FormatError(f"{text[:60]!r} is not a time in ISO 8601") from error
    if moment.tzinfo is None:
        raise FormatError(f"{text[:60]!r} has no time zone; times are in UTC and end in Z")
    return moment
