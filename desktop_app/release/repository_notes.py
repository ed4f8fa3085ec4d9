"""What a TUF repository's folder remembers beside its role files: which versions have arrived, and minimum versions, which only rise."""

import json
from collections.abc import Mapping
from pathlib import Path

from contract.codec import encode
from contract.files import read_bounded, write_atomic

PUBLISHED_NAME = "published.json"
MINIMUMS_NAME = "minimums.json"
_NOTES_MAX_BYTES = 2 << 20


class RepositoryNotes:
    """Small files of numbers by name in the repository's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def published(self) -> dict[str, int]:
        """The newest version of each role that has arrived."""
        return self._read(PUBLISHED_NAME)

    def confirm(self, versions: Mapping[str, int]) -> None:
        """Remember which versions have arrived."""
        write_atomic(self._folder / PUBLISHED_NAME, encode({**self.published(), **versions}))

    def minimum(self, model: str) -> int | None:
        """The lowest version of a model that may run; None where nobody said."""
        return self._read(MINIMUMS_NAME).get(model)

    def set_minimum(self, model: str, version: int) -> None:
        """Remember a model's minimum."""
        write_atomic(self._folder / MINIMUMS_NAME, encode({**self._read(MINIMUMS_NAME), model: version}))

    def _read(self, name: str) -> dict[str, int]:
        path = self._folder / name
        return dict(json.loads(read_bounded(path, _NOTES_MAX_BYTES))) if path.is_file() else {}
