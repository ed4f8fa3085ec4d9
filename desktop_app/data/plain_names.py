"""Names from folders and files as plain text: what could steer a terminal or hide is escaped."""

import os
from pathlib import Path

NAME_MAX_LENGTH = 400


def plain_name(name: str) -> str:
    r"""`name` with every character that does not print as itself escaped (`\n`, `\x1b`, `\u202e`).

    Bytes that are no UTF-8 (which Python carries as lone surrogates) become `\xff`. A very long
    name is cut in its middle.
    """
    text = name if name.isprintable() else "".join(_escape(character) for character in name)
    half = NAME_MAX_LENGTH // 2
    return text if len(text) <= NAME_MAX_LENGTH else f"{text[:half]}…{text[-half:]}"


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def plain_path(path: Path, root: Path) -> str:
    """`path` relative to `root` with forward slashes, as plain text."""
    return plain_name(os.fspath(path.relative_to(root)).replace(os.sep, "/"))
