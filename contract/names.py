"""The patterns that names must match before they reach a topic, a path or a query."""

import re

from contract.errors import InvalidNameError

ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
FILE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,3}$"

_ID = re.compile(ID_PATTERN)
_SHA256 = re.compile(SHA256_PATTERN)
_FILE = re.compile(FILE_PATTERN)


def is_id(text: str) -> bool:
    """Whether `text` may name a device, a fleet, a model, a slot or an application."""
    return _ID.match(text) is not None and "\n" not in text


def check_id(text: str, what: str) -> str:
    """Return `text` if it is an id.

    Raises:
        InvalidNameError: it is not; `what` says in the message what it was meant to name.
    """
    if not is_id(text):
        raise InvalidNameError(f"{what} {text[:80]!r} is not valid: use 1 to 63 of a-z, 0-9 and -, not beginning or ending with -")
    return text


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 in lower-case hexadecimal."""
    return _SHA256.match(text) is not None and "\n" not in text


def is_file_name(text: str) -> bool:
    """Whether `text` may name a file of a package: relative, with forward slashes, no dots at a part's start."""
    return _FILE.match(text) is not None and "\n" not in text


def slug(text: str, fallback: str = "unnamed") -> str:
    """Turn free text into an id: lower case, other characters to `-`; `fallback` where nothing is left."""
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return cleaned or fallback
