"""A text of the interface as a value: the English sentence, its numbers and names; shown in the language in force.

`Text` is for what the studio says. What comes from files, devices and people is `str` and is never translated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from desktop_app.ui.translations.chinese import CHINESE

ENGLISH_CODE, CHINESE_CODE = "en", "zh"
CATALOGUES: dict[str, Mapping[str, str]] = {ENGLISH_CODE: {}, CHINESE_CODE: CHINESE}


@dataclass
class _Speech:
    code: str = ENGLISH_CODE
    missing: set[str] = field(default_factory=set)


SPEECH = _Speech()


class Text:
    """An English sentence with named places, e.g. `Text("{count} samples", count="1 797")`."""

    __slots__ = ("key", "values")

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values

    def __str__(self) -> str:
        """The sentence in the language in force; a value may itself be a `Text`."""
        return (
            translate(self.key).format(**{name: str(value) for name, value in self.values.items()}) if self.values else translate(self.key)
        )

    def __repr__(self) -> str:
        """The key and the values, for error messages."""
        return f"Text({self.key!r}, {self.values!r})"

    def __eq__(self, other: object) -> bool:
        """Same sentence with the same values."""
        return isinstance(other, Text) and (self.key, self.values) == (other.key, other.values)

    def __hash__(self) -> int:
        """Hash of the sentence."""
        return hash(self.key)


def counted(number: int, one: Text, many: Text) -> Text:
    """The singular for 1, else the plural."""
    return one if number == 1 else many


def translate(key: str) -> str:
    """`key` in the language in force; English where the catalogue lacks it (and the lack is noted)."""
    catalogue = CATALOGUES[SPEECH.code]
    if SPEECH.code == ENGLISH_CODE:
        return key
    if key not in catalogue:
        SPEECH.missing.add(key)
    return catalogue.get(key, key)
