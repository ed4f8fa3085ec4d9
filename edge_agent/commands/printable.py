"""Texts of others (names of files, cells, what a package says) as a terminal may show them."""

import sys


def printable(text: str) -> str:
    """`text` in one line, with escapes for what a terminal would obey instead of showing it, or what its encoding does not have."""
    shown = text if text.isprintable() else "".join(map(_shown, text))
    encoding = sys.stdout.encoding or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def printable_name(name: str) -> str:
    """A name as it is where it can be shown; else in quotes, with escapes."""
    return printable(name if name.isprintable() else repr(name))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
