"""The digests that must not be activated again: in memory, and in `quarantine.json`.

What could not be written holds for this process all the same, and is tried again with the next
step of any update; until it is written no new update begins, so that a cut can not forget it.
"""

from pathlib import Path

from edge_agent.home import load_document, save_document
from edge_agent.update.disk import Disk
from edge_agent.update.records import Quarantined

QUARANTINE_FILE = "quarantine.json"


class Quarantine:
    """The quarantine of one agent."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._path = folder / QUARANTINE_FILE
        self._disk = disk
        self._entries: dict[str, Quarantined] | None = None
        self.is_saved = True

    @property
    def entries(self) -> dict[str, Quarantined]:
        """Why each digest is quarantined; a copy."""
        if self._entries is None:
            self._entries = load_document(self._path, dict[str, Quarantined], self._disk) or {}
        return dict(self._entries)

    def replace(self, entries: dict[str, Quarantined]) -> None:
        """Take these entries and write them.

        Raises:
            OSError: they could not be written.
        """
        self._entries, self.is_saved = dict(entries), False
        self.save()

    def save(self) -> None:
        """Write what could not be written before; raises as `replace`."""
        if not self.is_saved:
            save_document(self._path, self.entries, self._disk)
            self.is_saved = True
